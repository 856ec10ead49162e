"""The SMTP server that bounces and complaints come to: who may have a session, and how it ends.

All limits are of one process: sessions at once, for one address too (IPv6: its /64), and the
memory that messages have together. When all places are taken, the session that has waited longest
for a command ends for a new one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import msgspec
import structlog

from shared.errors import StoreError
from shared.feedback_settings import BounceSettings
from shared.ids import external
from shared.metrics.returns import ReturnMetrics
from workers.returns.certificate import Certificate
from workers.returns.reception import Reception
from workers.returns.recipients import Mailbox, Refusal
from workers.returns.session import Envelope, Limits, Session
from workers.returns.wire import Room, Wire

CROWDED = 0.8
"""Share of the places above which sessions must hurry."""
LEAST_WAIT_SECONDS = 10.0
"""A session that has waited for so long may end for another, in a transaction too."""
MOST_LARGE = 8
"""Messages of the largest size for which there is memory."""
THREADS = 4
"""Messages that are read and stored at once."""
BACKLOG = 512

_log = structlog.get_logger(__name__)


class Server:
    """See the module. Also the `Door` of its sessions."""

    def __init__(
        self,
        settings: BounceSettings,
        name: str,
        reception: Reception,
        metrics: ReturnMetrics,
        limits: Limits | None = None,
    ) -> None:
        """Raises `ConfigError` when the certificate cannot be used."""
        self._settings = settings
        self._metrics = metrics
        self._sessions: dict[Session, asyncio.Task[None]] = {}
        self._places: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="returns")
        self._server: asyncio.Server | None = None
        self.name = name
        self.reception = reception
        self.certificate = Certificate(settings)
        self.limits = limits or Limits(settings.max_message_bytes)
        self.room = Room(MOST_LARGE * settings.max_message_bytes)
        self.stopping = False

    async def listen(self, host: str, port: int) -> int:
        """Answer; the port. Raises `OSError` when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Wire(self._connected), host, port, backlog=BACKLOG
        )
        return int(self._server.sockets[0].getsockname()[1])

    def apply(self, settings: BounceSettings, reception: Reception) -> None:
        """Take changed settings, but for addresses. Raises `ConfigError`, and changes nothing."""
        self.certificate = Certificate(settings)
        more = settings.max_message_bytes - self._settings.max_message_bytes
        self.room.widen(MOST_LARGE * more)
        self._settings, self.reception = settings, reception
        self.limits = msgspec.structs.replace(self.limits, message_bytes=settings.max_message_bytes)

    async def stop(self, seconds: float) -> None:
        """Take no new sessions, let transactions end in so many seconds, then end all."""
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            if not session.in_transaction:
                session.send_away()
        if self._sessions:
            await asyncio.wait(self._sessions.values(), timeout=seconds)
        for task in list(self._sessions.values()):
            task.cancel()
        await asyncio.gather(*self._sessions.values(), return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    # -- sessions ----------------------------------------------------------------------------

    def _connected(self, wire: Wire) -> None:
        place = _place(wire.peer)
        most = self._settings.max_sessions_per_address
        if self.stopping or self._places[place] >= most or not self._has_room():
            self._metrics.sessions_refused += 1
            wire.tell(f"421 4.3.2 {self.name} has no place now, come back later")
            wire.close()
            return
        session = Session(wire, self)
        task = asyncio.get_running_loop().create_task(session.run())
        self._sessions[session] = task
        self._places[place] += 1
        self._metrics.sessions_opened += 1
        self._metrics.sessions = len(self._sessions)
        task.add_done_callback(lambda done: self._ended(session, place, done))

    def _has_room(self) -> bool:
        if len(self._sessions) < self._settings.max_sessions:
            return True
        waiting = [each for each in self._sessions if each.waiting_since is not None]
        longest = min(waiting, key=lambda each: each.waiting_since or 0.0, default=None)
        if longest is None or longest.waiting_since is None:
            return False
        if asyncio.get_running_loop().time() - longest.waiting_since < LEAST_WAIT_SECONDS:
            return False
        longest.send_away()
        return True

    def _ended(self, session: Session, place: str, done: asyncio.Task[None]) -> None:
        del self._sessions[session]
        self._places[place] -= 1
        if not self._places[place]:
            del self._places[place]
        self._metrics.sessions = len(self._sessions)
        if not done.cancelled() and done.exception() is not None:
            _log.error("returns_session_broke", exc_info=done.exception())

    @property
    def crowded(self) -> bool:
        """See `Door`."""
        return len(self._sessions) > CROWDED * self._settings.max_sessions

    def tls(self) -> ssl.SSLContext | None:
        """See `Door`."""
        return self.certificate.context()

    def mailbox(self, address: str) -> Mailbox | Refusal:
        """See `Door`."""
        found = self.reception.mailboxes.find(address)
        if not isinstance(found, Mailbox):
            self._metrics.refused[found] += 1
        return found

    async def take(self, envelope: Envelope, message: bytes) -> None:
        """See `Door`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            taken = await loop.run_in_executor(
                self._threads, self.reception.take, envelope, message
            )
        except StoreError as error:
            self._metrics.store_errors += 1
            _log.warning("returned_mail_not_stored", reason=error)
            raise
        self._metrics.seconds.observe(loop.time() - began)
        self._metrics.bytes += len(message)
        self._metrics.mail[taken.kind, taken.outcome] += 1
        if taken.reason is not None:
            self._metrics.unmatched[taken.reason] += 1
        _log.info(
            "mail_returned",
            kind=taken.kind,
            outcome=taken.outcome,
            bytes=len(message),
            **({"reason": taken.reason} if taken.reason else {}),
            **({"messages": [external(each) for each in taken.message_ids]}
               if taken.message_ids else {}),
        )  # fmt: skip


@lru_cache(maxsize=1024)
def _place(peer: str) -> str:
    """Whose sessions are counted together."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)
