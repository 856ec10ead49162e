"""The inbox's SMTP server: whatever is sent here is captured and goes no further."""

from __future__ import annotations

from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from shared.config import host_and_port
from shared.errors import ConfigError
from shared.settings import InboxSettings
from web.inbox.mailbox import Mailbox
from web.inbox.reading import read


class Capture:
    """aiosmtpd's handler."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name.
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep the message as it came."""
        del server, session
        content = envelope.content
        data = content if isinstance(content, bytes) else str(content or "").encode()
        letter = read(data[:262_144])  # Its headers are all that the list shows.
        recipients = tuple(str(each) for each in envelope.rcpt_tos)
        try:
            self._mailbox.add(
                data,
                str(envelope.mail_from or ""),
                recipients,
                letter.header("subject"),
                letter.header("from"),
            )
        except OSError:
            return "452 4.3.1 the inbox cannot write to its disk"
        return "250 2.0.0 captured"


class _Listener(Controller):
    """A controller whose server says our name and takes large messages."""

    def factory(self) -> Any:
        return SMTP(
            self.handler,
            data_size_limit=self.SMTP_kwargs["data_size_limit"],
            enable_SMTPUTF8=True,
            hostname="inbox.posthaste.test",
            ident="Posthaste inbox",
            timeout=600,
        )


def listen(settings: InboxSettings, mailbox: Mailbox) -> Controller:
    """Start the server on a thread of its own. Raises `ConfigError` when the port is taken."""
    host, port = host_and_port(settings.smtp_listen, "inbox.smtp_listen")
    controller = _Listener(
        Capture(mailbox), hostname=host, port=port, data_size_limit=settings.max_message_bytes
    )
    try:
        controller.start()
    except OSError as error:
        raise ConfigError(
            f"port {port} on {host} is not free: choose another with inbox.smtp_listen"
        ) from error
    return controller
