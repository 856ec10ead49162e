"""A DNS server for benchmarks: every domain has one MX host of its own, and so is a site.

    python -m tests.bench.world_dns        # prints its port

`NAME MX` is `10 mx.NAME`, `mx.NAME A` the address that `--at mx.NAME=ADDRESS` says, or 127.0.0.1;
everything else does not exist. Answers are put together by hand, because a library would take more
processor time than what is measured.
"""

from __future__ import annotations

import argparse
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping

TTL_SECONDS = 3600
_A, _MX = 1, 15
_NO_SUCH_NAME = 3
_HOST = b"\x02mx"
_SOA = b"\x04test\0" + struct.pack(
    ">HHIHBBIIIII", 6, 1, TTL_SECONDS, 22, 0, 0, 1, 7200, 900, 86400, TTL_SECONDS
)
"""Of the zone in which everything is, or is not."""
_POINTER = b"\xc0\x0c"  # To the question's name (RFC 1035 section 4.1.4).


def _answer(data: bytes, addresses: Mapping[bytes, bytes]) -> bytes:
    """The response to a query of one question."""
    end = data.index(b"\0", 12) + 1
    name, question = data[12:end], data[12 : end + 4]
    kind = int.from_bytes(data[end : end + 2], "big")
    found = b""
    is_host = name.startswith(_HOST)
    if kind == _MX and not is_host:
        found = struct.pack(">H", 10) + _HOST + _POINTER
    elif kind == _A and is_host:
        found = addresses.get(name, b"\x7f\0\0\x01")
    code = 0 if found or is_host else _NO_SUCH_NAME
    head = data[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, bool(found), not found, 0)
    if not found:
        return head + question + _SOA
    return (
        head + question + _POINTER + struct.pack(">HHIH", kind, 1, TTL_SECONDS, len(found)) + found
    )


def _wire(name: str) -> bytes:
    labels = (bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"".join(labels) + b"\0"


def _serve(addresses: Mapping[bytes, bytes]) -> None:
    own = socket.socket(type=socket.SOCK_DGRAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
    own.bind(("127.0.0.1", 0))
    print(own.getsockname()[1], flush=True)
    while True:
        data, peer = own.recvfrom(4096)
        own.sendto(_answer(data, addresses), peer)


class WorldDns:
    """A context manager around its process."""

    def __init__(self, addresses: Mapping[str, str] | None = None) -> None:
        """`addresses`: of hosts that are not at 127.0.0.1."""
        self._options = [f"--at={host}={address}" for host, address in (addresses or {}).items()]
        self.port = 0

    def __enter__(self) -> WorldDns:
        command = [sys.executable, "-m", "tests.bench.world_dns", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at", action="append", default=[])
    pairs = [each.split("=") for each in parser.parse_args().at]
    _serve({_wire(host): socket.inet_aton(address) for host, address in pairs})
