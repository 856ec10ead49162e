"""A code by mail for a session, sent to its user."""

from __future__ import annotations

from shared.accounts.mailed_codes import SECONDS
from shared.accounts.outcome import Wait
from shared.accounts.sign_in import SignIn
from web.console import letter_texts
from web.console.desk import Desk, Visitor
from web.console.entrance import host_of
from web.console.letters import Letters

NOT_SENT = (
    "Mail cannot be sent just now. Try again in a while, or ask an owner of this installation"
    " for a link (posthaste user link)."
)


def send_code(desk: Desk, sign_in: SignIn, visitor: Visitor) -> bool | Wait:
    """Send one; False: it cannot be sent, or there is none for this user."""
    letters = Letters(desk)
    if not letters.can_send:
        return False
    code = sign_in.mail_code(visitor.session, visitor.user, desk.client())
    if isinstance(code, Wait):
        return code
    if not isinstance(code, str):
        return False
    ends = desk.now_ms() + SECONDS * 1000
    return letters.send(visitor.user.login, letter_texts.code(host_of(desk), code, ends))
