"""deploy/smoke.sh looks into containers: what it runs there finds what should not be there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

SMOKE = Path(__file__).parents[3] / "deploy" / "smoke.sh"


def test_it_is_a_script() -> None:
    subprocess.run(["bash", "-n", str(SMOKE)], check=True)


def test_what_looks_into_a_container_finds_tools_that_build_and_a_disk_to_write(
    tmp_path: Path,
) -> None:
    inside = re.search(r"sh -s <<'INSIDE'\n(.*?)^INSIDE$", SMOKE.read_text(), re.DOTALL | re.M)
    assert inside is not None
    (tmp_path / "python").symlink_to(sys.executable)
    (tmp_path / "gcc").symlink_to("/bin/true")
    done = subprocess.run(
        ["/bin/sh", "-s"], input=inside[1], capture_output=True, text=True, timeout=60,
        env={"PATH": str(tmp_path) + ":/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stderr == ""
    *found, last = done.stdout.splitlines()
    assert last == "looked"
    assert {"it has gcc", "it has the module ensurepip"} <= set(found)
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    options = [fields[3].split(",") for fields in mounts if fields[1] == "/"][-1]
    assert ("its root file system can be written" in found) == ("ro" not in options)
    assert ("what is executed in it runs as root" in found) == (os.getuid() == 0)
