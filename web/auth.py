"""From the Authorization header to an API key in force; a 401 problem otherwise.

Keys are cached for `key_cache_seconds`, the time a revoked one may still be honoured. When a key
was used is noted once a minute, by each process, once the answer is on its way: a store that cannot
write, or is slow, changes no answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from flask import Request, Response, after_this_request

from shared import api_keys
from shared.clock import Clock
from shared.errors import OutcomeUnknown, StoreError, StoreUnavailable
from shared.store.keys import ApiKey, Keys
from web.errors import Problem

_MOST_CACHED = 4096
_NOTED_SECONDS = 60
"""How long after a use the next one is noted, and after a failure any."""


class Authenticator:
    """Looks keys up; safe to use from many threads."""

    def __init__(self, keys: Keys, clock: Clock, cache_seconds: float) -> None:
        self._keys = keys
        self._clock = clock
        self._seconds = cache_seconds
        self._cached: dict[str, tuple[float, ApiKey | None]] = {}
        self._noted: dict[str, float] = {}
        self._resting_until = 0.0
        self._lock = threading.Lock()

    def key(self, request: Request) -> ApiKey:
        """The key of a request. Raises `Problem` 401, or the `StoreError` family."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        parsed = api_keys.parse(text.strip()) if scheme.lower() == "bearer" else None
        if parsed is None:
            raise _unauthorized("missing_key", "Send an API key: Authorization: Bearer ph_...")
        identifier, secret = parsed
        key = self._find(identifier)
        if not api_keys.matches(key, secret) or key is None:
            raise _unauthorized("wrong_key", "The API key is not valid.")
        structlog.contextvars.bind_contextvars(application=key.application)
        if self._is_to_note(identifier):
            after_this_request(self._note_behind(identifier))
        return key

    def _is_to_note(self, identifier: str) -> bool:
        """Whether no use was noted for a while; whoever is told so is the only one."""
        now = self._clock.monotonic()
        with self._lock:
            last = self._noted.get(identifier)
            if now < self._resting_until or (last is not None and now - last < _NOTED_SECONDS):
                return False
            if len(self._noted) >= _MOST_CACHED:
                self._noted.clear()
            self._noted[identifier] = now
        return True

    def _note_behind(self, identifier: str) -> Callable[[Response], Response]:
        """What adds the note to the end of a response."""

        def note() -> None:
            try:
                self._keys.used(identifier, self._clock.now_ms())
            except StoreError:  # The request has had its answer; what fails is told by others.
                self._resting_until = self._clock.monotonic() + _NOTED_SECONDS

        def append(response: Response) -> Response:
            response.call_on_close(note)
            return response

        return append

    def _find(self, identifier: str) -> ApiKey | None:
        now = self._clock.monotonic()
        cached = self._cached.get(identifier)
        if cached is not None and cached[0] > now:
            return cached[1]
        try:
            key = self._keys.find(identifier)
        except OutcomeUnknown as error:
            raise StoreUnavailable(str(error)) from error  # A look changes nothing.
        with self._lock:
            if len(self._cached) >= _MOST_CACHED:
                self._cached.clear()  # Guesses must not fill the memory.
            self._cached[identifier] = (now + self._seconds, key)
        return key


def _unauthorized(code: str, detail: str) -> Problem:
    return Problem(401, code, detail, headers={"WWW-Authenticate": 'Bearer realm="posthaste"'})
