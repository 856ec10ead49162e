"""Exceptions that cross module borders. Ordinary outcomes are values and not here.

PosthasteError
  StoreError                 the spool could not do what was asked
    StoreUnavailable         not reachable, loading, stopped; nothing was written
    StoreFull                out of memory or read-only; nothing was written
    OutcomeUnknown           the request was sent and no reply came: it may have been applied
  ConfigError                a setting is wrong; the text names it and the remedy
"""

from __future__ import annotations


class PosthasteError(Exception):
    """The root of our own exceptions."""


class StoreError(PosthasteError):
    """The spool could not do what was asked."""


class StoreUnavailable(StoreError):
    """Redis is not reachable or not ready; nothing was written."""


class StoreFull(StoreError):
    """Redis refuses writes (memory, read-only, disk); nothing was written."""


class OutcomeUnknown(StoreError):
    """The request was sent and no reply came: it may have been applied."""


class ConfigError(PosthasteError):
    """A setting is wrong; the text names the setting and the remedy."""
