"""Logins as people type them, in the one form in which they are stored and compared (B10). Pure."""

from __future__ import annotations

from shared.accounts.user import LONGEST_LOGIN, login_of
from shared.addresses import canonical, mailbox

LONGEST_NAME = 100


def login_in(text: str) -> str:
    """As `login_of` makes it, with its domain as A-labels: `ÖRG@Bücher.example` is who
    `örg@xn--bcher-kva.example` is. What is no address stays as it is, and nobody has it."""
    folded = _folded(text)
    return mailbox(folded) or folded


def new_login(text: str) -> str | None:
    """A login for a new user; None where it is no address that mail could be sent to, or where the
    form that is compared is another's: mail for `ann@faß.example` must not go to `fass.example`."""
    login, typed = mailbox(_folded(text)), mailbox(_text(text).strip())
    if login is None or typed is None or len(login) > LONGEST_LOGIN:
        return None
    return login if canonical(typed) == login else None


def name_in(text: str) -> str:
    """A name on one line; empty: there is none."""
    words = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return words[:LONGEST_NAME]


def _folded(text: str) -> str:
    return login_of(_text(text))


def _text(text: str) -> str:
    """Cut off far beyond what is a login; halves of surrogate pairs are no text."""
    return text[: 4 * LONGEST_LOGIN].encode(errors="replace").decode()
