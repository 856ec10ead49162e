"""Ports of the system's choice: nobody else gets one, its listener does, after a restart too."""

from __future__ import annotations

import socket
import sys

import pytest

from shared.supervisor.ports import reserve


def listening(port: int) -> socket.socket:
    """A listener as our children make one."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(5)
    return listener


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can hold a port for another")
def test_a_reserved_port_is_its_listeners_alone() -> None:
    reserved = reserve("127.0.0.1")
    try:
        for _ in range(2):  # The second time as after a restart.
            with listening(reserved.port), socket.create_connection(("127.0.0.1", reserved.port)):
                pass
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", reserved.port))
        others = [reserve("127.0.0.1") for _ in range(200)]
        assert reserved.port not in {each.port for each in others}
        assert len({each.port for each in others}) == 200
        for each in others:
            each.release()
    finally:
        reserved.release()


def test_a_port_that_was_asked_for_must_be_free() -> None:
    with listening(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            reserve("127.0.0.1", port)
    assert reserve("127.0.0.1", port).port == port
