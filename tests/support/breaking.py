"""Processes that meet faults with secrets in hand: `python -m tests.support.breaking WHAT DSN`.

Each runs our own code with our own logging and reporting, and breaks something underneath it whose
exception, variables and surroundings hold what must not get out.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import sentry_sdk
import structlog

from shared.clock import ManualClock, SystemClock
from shared.errors import OutcomeUnknown, StoreFull, StoreUnavailable
from shared.logging import configure
from shared.model.leg import LegState
from shared.sentry import start_sentry
from shared.settings import LogSettings, SentrySettings, Settings
from shared.store.ports import Claimed, Settlement
from tests.support.api import Api
from tests.support.stores import MemoryTestStore
from workers.engine import Engine
from workers.leases import Lease

ADDRESS = "maria.secret+tag@customer.example"
SUBJECT = "Pregnancy test result 4711"
BODY = "the-body-nobody-may-see"
TOKEN = "ph_0123456789abcdef_" + "S" * 43
PASSWORD = "hunter2-password"
EVERYTHING = (ADDRESS, "maria.secret", SUBJECT, BODY, TOKEN, PASSWORD)


class BadAddress(Exception):
    """Its text has everything in it."""


def explode(*values: object) -> None:
    """Raise with secrets in the text, the arguments, a note, a local variable and the cause."""
    local = {"recipient": ADDRESS, "subject": SUBJECT}
    try:
        int(f"{ADDRESS} {SUBJECT} {BODY} {TOKEN}")
    except ValueError as cause:
        error = BadAddress(f"cannot send {SUBJECT} to {ADDRESS} with {PASSWORD}", local, values)
        error.add_note(f"{TOKEN} {BODY}")
        raise error from cause


def web_view() -> None:
    """A view that breaks with a JSON body, a query, a key and headers in hand."""
    api = Api()

    def broken(submissions: Any) -> Any:
        explode(submissions)

    api.context.services.spool.accept = broken  # type: ignore[method-assign]
    response = api.ask(
        "POST", f"/v1/messages?token={TOKEN}&to={ADDRESS}",
        json={"from": "a@shop.test", "to": ADDRESS, "subject": SUBJECT, "text": BODY},
        headers={"X-Api-Key": TOKEN, "Cookie": f"session={PASSWORD}", "X-Request-Id": "req-1"},
    )  # fmt: skip
    assert response.status_code == 500
    assert not any(each in response.text for each in EVERYTHING)
    api.close()


def attempt() -> None:
    """A worker's attempt that breaks."""
    settings = Settings()
    store = MemoryTestStore(settings, ManualClock())
    message_id = store.accept()

    async def deliver(claimed: Claimed, lease: Lease) -> Settlement:
        recipient, text = ADDRESS, BODY
        explode(claimed, lease, recipient, text)
        raise AssertionError

    async def work() -> None:
        engine = Engine(settings, store.queue(), SystemClock(), deliver, 4)
        running = asyncio.create_task(engine.run())
        engine.offer("transactional", "ticket")
        async with asyncio.timeout(20):
            while not _waits(store, message_id):
                await asyncio.sleep(0.01)
        await engine.stop()
        running.cancel()

    asyncio.run(work())


def _waits(store: MemoryTestStore, message_id: bytes) -> bool:
    stored = store.spool.get(message_id)
    assert stored is not None
    return stored.legs[0].state is LegState.WAITING


def records() -> None:
    """Log records of ours and of others, with everything in them; the SDK's own ways too."""
    sentry_sdk.add_breadcrumb(message=f"{ADDRESS} {SUBJECT}", data={"key": TOKEN})
    sentry_sdk.set_user({"email": ADDRESS, "ip_address": "192.0.2.1"})
    sentry_sdk.set_extra("body", BODY)
    sentry_sdk.set_context("mail", {"subject": SUBJECT})
    sentry_sdk.set_tag("recipient", ADDRESS)
    other = logging.getLogger("some.library")
    other.error("cannot send to %s: %s", ADDRESS, SUBJECT, extra={"body": BODY, "key": TOKEN})
    ours = structlog.get_logger("workers.test")
    ours.error("it_broke", recipient=ADDRESS, subject=SUBJECT, request_id=TOKEN, leg=ADDRESS)
    ours.error(f"odd event {ADDRESS} {SUBJECT}", body=BODY)
    try:
        explode()
    except BadAddress as error:
        other.exception("broke with %s", ADDRESS)
        sentry_sdk.capture_exception(error)
        ours.exception("broke_again", header={"Authorization": f"Bearer {TOKEN}"})
    try:
        raise ExceptionGroup(SUBJECT, [KeyError(ADDRESS), ConnectionRefusedError(111, PASSWORD)])
    except ExceptionGroup:
        ours.exception("group_broke")
    sentry_sdk.capture_message(f"{ADDRESS} {SUBJECT} {BODY} {TOKEN} {PASSWORD}")


def uncaught() -> None:
    """An exception that nobody catches, in a thread and in the process itself."""
    thread = threading.Thread(target=explode, args=(ADDRESS,))
    thread.start()
    thread.join()
    raise BadAddress(f"{ADDRESS} {BODY}")


def outage() -> None:
    """A store that is away: told thousands of times, in every way there is."""
    ours = structlog.get_logger("workers.test")
    for number in range(3000):
        error = OutcomeUnknown("no answer") if number % 2 else StoreUnavailable("not there")
        ours.warning("claim_waits_for_store", reason=error)
        ours.warning("store_refused", reason=error)
        try:
            raise error from ConnectionError(ADDRESS)
        except (OutcomeUnknown, StoreUnavailable):
            ours.exception(f"broke_{number}")
    ours.warning("store_refused", reason=StoreFull("the store refuses writes"))
    for number in range(500):  # As many causes, from a loop that has gone wild.
        ours.error("cause_" + "".join(chr(97 + int(digit)) for digit in str(number)))


WAYS: dict[str, Callable[[], None]] = {
    each.__name__: each for each in (web_view, attempt, records, uncaught, outage)
}


def main(way: str, dsn: str) -> None:
    """Break."""
    configure(LogSettings())
    start_sentry(SentrySettings(dsn=dsn, environment="test"), "web")
    WAYS[way]()


if __name__ == "__main__":
    main(*sys.argv[1:])
