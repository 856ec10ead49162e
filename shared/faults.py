"""An exception as types and places: what a log or Sentry may be told of it.

The text of an exception may hold anything that was in hand when it was raised, and so may local
variables: both stay out. What is left says which exception, where, and what it came from.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import PurePath
from types import TracebackType

import msgspec

from shared.errors import StoreError, StoreFull

OURS = ("web", "workers", "shared")
MOST_FAULTS = 6
MOST_PLACES = 20
"""Of one exception; the innermost are kept."""


class Place(msgspec.Struct, frozen=True):
    """One frame of a traceback."""

    module: str
    function: str
    file: str
    """From the package on, so that nobody learns where it is installed."""
    line: int

    @property
    def ours(self) -> bool:
        """Whether it is in this product's own code."""
        return self.module.partition(".")[0] in OURS


class Fault(msgspec.Struct, frozen=True):
    """One exception of a chain."""

    kind: str
    module: str
    code: str
    """The name of an operating system's error, such as ECONNREFUSED; else empty."""
    places: tuple[Place, ...]
    """Outermost first."""


def chain(error: BaseException) -> list[BaseException]:
    """The exception and what it came from, outermost first; of groups, the first members too."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting and len(found) < MOST_FAULTS:
        each = waiting.pop(0)
        if any(each is other for other in found):
            continue
        found.append(each)
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
        before = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
        if before is not None:
            waiting.append(before)
    return found


def faults(error: BaseException) -> tuple[Fault, ...]:
    """What may be told, outermost first."""
    return tuple(_fault(each) for each in chain(error))


def _fault(error: BaseException) -> Fault:
    kind = type(error)
    code = errno.errorcode.get(error.errno or 0, "") if isinstance(error, OSError) else ""
    places = tuple(_places(error.__traceback__))[-MOST_PLACES:]
    return Fault(kind.__qualname__, kind.__module__, code, places)


def _places(traceback: TracebackType | None) -> Iterator[Place]:
    while traceback is not None:
        code, frame = traceback.tb_frame.f_code, traceback.tb_frame
        module = str(frame.f_globals.get("__name__", ""))
        yield Place(module, code.co_name, _file(code.co_filename, module), traceback.tb_lineno)
        traceback = traceback.tb_next


def _file(path: str, module: str) -> str:
    """`web/app.py` of `/srv/posthaste/web/app.py`."""
    parts = PurePath(path).parts
    top = module.partition(".")[0]
    if top in parts:
        return "/".join(parts[len(parts) - 1 - parts[::-1].index(top) :])
    return parts[-1] if parts else ""


def cause(error: BaseException) -> tuple[str, ...]:
    """What two exceptions share that have one cause.

    Trouble with the store is one cause wherever it shows. Of anything else it is the first
    exception of the chain, and the innermost place in our own code.
    """
    exceptions = chain(error)
    for each in exceptions:
        if isinstance(each, StoreError):
            return ("store", store_cause(each))
    told = [_fault(each) for each in exceptions]
    for fault in reversed(told):
        ours = [place for place in fault.places if place.ours]
        if ours:
            return (told[-1].kind, f"{ours[-1].module}:{ours[-1].function}")
    last = told[-1].places[-1:]
    return (told[-1].kind, *(f"{place.module}:{place.function}" for place in last))


def store_cause(error: StoreError) -> str:
    """full, refused (a command: a fault of ours) or unreachable."""
    if isinstance(error, StoreFull):
        return "full"
    return "refused" if type(error) is StoreError else "unreachable"
