"""Unit tests open no connection."""

from __future__ import annotations

import socket

import pytest
from hypothesis import settings

# How long a case takes says how busy the machine is: what must be quick says so itself.
settings.register_profile("posthaste", deadline=None)
settings.load_profile("posthaste")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every connect an error of the test."""

    def refuse(self: socket.socket, address: object) -> None:
        pytest.fail(f"a unit test connects to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
