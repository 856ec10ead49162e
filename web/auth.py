"""From the Authorization header to an API key in force; a 401 problem otherwise.

Keys are cached for `key_cache_seconds`, the time a revoked one may still be honoured.
"""

from __future__ import annotations

import threading

import structlog
from flask import Request

from shared import api_keys
from shared.clock import Clock
from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.store.keys import ApiKey, Keys
from web.errors import Problem

_MOST_CACHED = 4096


class Authenticator:
    """Looks keys up; safe to use from many threads."""

    def __init__(self, keys: Keys, clock: Clock, cache_seconds: float) -> None:
        self._keys = keys
        self._clock = clock
        self._seconds = cache_seconds
        self._cached: dict[str, tuple[float, ApiKey | None]] = {}
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
        return key

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
