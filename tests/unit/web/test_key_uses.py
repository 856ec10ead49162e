"""When a key was used last: noted behind the answer, once a minute, and never at its cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.api_keys import parse
from shared.errors import OutcomeUnknown, StoreError, StoreFull, StoreUnavailable
from tests.support.api import Api

MESSAGE = {"from": "a@shop.test", "to": "b@example.test", "subject": "s", "text": "t"}


@pytest.fixture
def api() -> Iterator[Api]:
    """A fresh one."""
    found = Api()
    yield found
    found.close()


def send(api: Api, **options: Any) -> int:
    """Send one message to its very end; the status."""
    with api.send(MESSAGE, **options) as response:
        return int(response.status_code)


def id_of(key: str) -> str:
    """The public part."""
    parsed = parse(key)
    assert parsed is not None
    return parsed[0]


class Watched:
    """Keys that count what is noted, and may be unable to."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: StoreError | None = None
        self.noted: list[str] = []
        self._used = api.store.keys.used
        monkeypatch.setattr(api.store.keys, "used", self.used)

    def used(self, key_id: str, at_ms: int) -> None:
        """See the port."""
        self.noted.append(key_id)
        if self.error is not None:
            raise self.error
        self._used(key_id, at_ms)


@pytest.fixture
def watched(api: Api, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Of this API."""
    return Watched(api, monkeypatch)


def test_a_use_is_noted_once_a_minute_for_each_key(api: Api, watched: Watched) -> None:
    other = api.new_key("other")
    for _ in range(3):
        assert send(api) == 202
    assert watched.noted == [id_of(api.key)]
    assert api.store.keys.last_used() == {id_of(api.key): api.clock.now_ms()}
    assert send(api, key=other) == 202
    api.clock.advance(59)
    send(api)
    assert len(watched.noted) == 2
    api.clock.advance(1)
    send(api)
    assert watched.noted == [id_of(api.key), id_of(other), id_of(api.key)]
    assert api.store.keys.last_used()[id_of(api.key)] == api.clock.now_ms()


def test_the_note_is_made_behind_the_answer(api: Api, watched: Watched) -> None:
    response = api.send(MESSAGE)
    assert response.status_code == 202
    assert watched.noted == []
    response.close()
    assert len(watched.noted) == 1


@pytest.mark.parametrize("error", [StoreFull("x"), StoreUnavailable("x"), OutcomeUnknown("x")])
def test_b20_a_store_that_cannot_write_it_fails_no_request(
    api: Api, watched: Watched, error: StoreError
) -> None:
    watched.error = error
    other = api.new_key("other")
    assert send(api) == 202
    assert send(api, key=other) == 202
    assert watched.noted == [id_of(api.key)], "it is asked again at once"
    watched.error = None
    api.clock.advance(60)
    assert send(api, key=other) == 202
    assert api.store.keys.last_used() == {id_of(other): api.clock.now_ms()}


def test_a_refused_request_is_a_use_and_a_wrong_key_is_none(api: Api, watched: Watched) -> None:
    assert send(api, key=api.key[:-1] + ("0" if api.key[-1] != "0" else "1")) == 401
    assert send(api, key="") == 401
    assert watched.noted == []
    with api.send({}) as response:
        assert response.status_code == 422
    assert watched.noted == [id_of(api.key)]


def test_a_revoked_key_is_not_used(api: Api, watched: Watched) -> None:
    api.store.keys.revoke(id_of(api.key))
    assert send(api) == 401
    assert watched.noted == []
