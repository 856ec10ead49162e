"""Signs in to relays and leaves again: facts as JSON, for `posthaste doctor`.

Standard input has the question, standard output the answers; nothing is sent after AUTH but QUIT.
Run as `python -m workers.check_relays`, because only this tier speaks SMTP. A reply to AUTH is not
repeated, for it may quote what it was given.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from shared.errors import ConfigError
from shared.outgoing_settings import RelaySettings, TimeoutSettings
from shared.relays import Relay, relays_from
from workers.smtp.auth import Tokens
from workers.smtp.own_name import OwnName
from workers.smtp.session import Session
from workers.smtp.types import Stage, Transaction

KEPT_REPLY = 120


class Question(msgspec.Struct, frozen=True):
    """What to try."""

    relays: tuple[RelaySettings, ...]
    exchangers: tuple[str, ...] = ()
    """Hosts that take mail from anybody: they are greeted only."""
    port: int = 25
    seconds: float = 10.0
    """For one host."""


class Answer(msgspec.Struct, frozen=True):
    """How far it went with one host."""

    host: str
    port: int
    stage: str
    """Where it ended: connect, tls, banner, ehlo, auth; mail when everything went well."""
    trouble: str = ""
    reply: str = ""
    protection: str = ""
    """What opportunistic TLS came to."""
    tls: str = ""
    expires: str = ""
    """When its certificate does, as OpenSSL writes it."""
    name: str = ""
    """The name we give in EHLO."""
    source: str = ""
    """The local address of the connection."""


async def answers(question: Question) -> list[Answer]:
    """Try all at once, in the order of the question: the relays, then the exchangers."""
    entries = relays_from(question.relays) if question.relays else ()
    relays = [_patient(relay, question.seconds) for relay in entries]
    relays += [
        Relay(
            name="mx", host=host, port=question.port, tls="opportunistic",
            timeouts=_times(TimeoutSettings(), question.seconds),
        )
        for host in question.exchangers
    ]  # fmt: skip
    own_name = OwnName()
    return list(
        await asyncio.gather(*(_try(relay, own_name, question.seconds) for relay in relays))
    )


def _patient(relay: Relay, seconds: float) -> Relay:
    return msgspec.structs.replace(relay, timeouts=_times(relay.timeouts, seconds))


def _times(given: TimeoutSettings, seconds: float) -> TimeoutSettings:
    names = given.__struct_fields__
    return TimeoutSettings(**{name: min(seconds, getattr(given, name)) for name in names})


async def _try(relay: Relay, own_name: OwnName, seconds: float) -> Answer:
    session = Session(relay, Tokens(relay), own_name)
    trouble: Transaction | None = None
    try:
        async with asyncio.timeout(seconds):
            trouble = await session.open()
        tls, expires = session.wire.tls_version(), session.wire.certificate_end()
        source = session.wire.address()
    except TimeoutError:
        trouble = Transaction(session.stage, trouble="timed out")
    finally:
        await session.quit()
    name = relay.ehlo_name or await own_name.get()
    if trouble is None:
        return Answer(
            relay.host, relay.port, "mail", "", "", session.protection, tls, expires, name, source
        )
    return Answer(
        relay.host, relay.port, trouble.stage.name.lower(), trouble.trouble or "refused",
        _reply(trouble), session.protection, name=name,
    )  # fmt: skip


def _reply(transaction: Transaction) -> str:
    reply = transaction.trouble_reply
    if reply is None:
        return ""
    text = "" if transaction.stage is Stage.AUTH else reply.text[:KEPT_REPLY]
    return " ".join(filter(None, (str(reply.code), reply.enhanced, text)))


def main() -> int:
    """The entry of the process."""
    try:
        question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
        found = asyncio.run(answers(question))
    except (ConfigError, msgspec.DecodeError) as error:
        sys.stderr.write(f"posthaste check: {error}\n")
        return 2
    sys.stdout.buffer.write(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
