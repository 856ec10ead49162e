"""The floor of all signing: RSA-2048 operations a second, on several cores at once.

    python -m tests.bench.floor SECONDS     # one process: waits for a line, prints a rate

No drain that signs can be faster than `signatures_a_second`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

CORES = min(2, len(os.sched_getaffinity(0)))


def signatures_a_second(seconds: float = 1.0) -> float:
    """Of `CORES` processes at once."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.floor", str(seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(CORES)
    ]  # fmt: skip
    for process in running:  # Each says when its key is made.
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(float(process.communicate(timeout=60)[0]) for process in running)


def main(seconds: float) -> None:
    """One process."""
    key = rsa.generate_private_key(65537, 2048)
    data, padding, sha256 = b"x" * 500, PKCS1v15(), SHA256()
    print("ready", flush=True)
    sys.stdin.readline()
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        key.sign(data, padding, sha256)
        count += 1
    print(count / (time.perf_counter() - began))


if __name__ == "__main__":
    main(float(sys.argv[1]))
