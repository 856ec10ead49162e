"""E-mail addresses as text: checked once, and the form by which two are the same (B8, B9).

The grammar is email-validator's, with no DNS. Ordinary ASCII addresses take a shorter way that
accepts and refuses exactly the same. Domains become A-labels here and nowhere else.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_HOST = re.compile(r"[A-Za-z0-9.-]+\Z")


def _ask_library(email: str) -> str | None:
    try:
        found = validate_email(
            email,
            check_deliverability=False,
            test_environment=True,  # `.test` is a valid domain here.
            strict=True,  # The lengths of RFC 5321 section 4.5.3.1.
            allow_smtputf8=True,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
        )
    except EmailNotValidError:
        return None
    return f"{found.local_part}@{found.ascii_domain}"


@lru_cache(maxsize=16384)
def ascii_domain(domain: str) -> str | None:
    """A domain as lower-case A-labels; None when it is not one."""
    found = _ask_library(f"x@{domain}")
    return None if found is None else found.rpartition("@")[2]


def mailbox(email: str) -> str | None:
    """An address with its domain as A-labels and its local part as given (NFC); None if invalid."""
    local, at, domain = email.rpartition("@")
    if "=?" in local:  # An encoded word: whoever decodes it sees another address.
        return None
    if at and email.isascii() and len(email) <= 254 and len(local) <= 64:
        if _ATOMS.match(local) and _HOST.match(domain):
            found = ascii_domain(domain)
            return None if found is None else f"{local}@{found}"
        return None
    return _ask_library(email)


def canonical(email: str) -> str:
    """The form by which two valid addresses are the same: lists are kept and asked by it.

    Takes what `mailbox` gives. The local part in lower case too: no large provider tells `Bob` from
    `bob`, and whoever bounced as the one is not to be tried as the other. Tags (`+news`) and dots
    stay: whether they matter is the receiver's to know. Nothing is folded beyond case: `straße` is
    not `strasse`.
    """
    if email.isascii():
        return email.lower()
    local, _, domain = email.rpartition("@")
    return f"{unicodedata.normalize('NFC', local.lower())}@{domain.lower()}"
