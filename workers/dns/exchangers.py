"""Domain names and MX records as texts: what is looked up, and what an answer names. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import idna

from shared.hosts import is_host_name

_MOST_CHARACTERS = 255


def domain_name(text: str) -> str | None:
    """A domain to look up, lower case and as A-labels (RFC 5891); None when the text is none."""
    if len(text) > _MOST_CHARACTERS:
        return None
    try:
        name = text if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError:
        return None
    name = name.lower().removesuffix(".")
    labels = name.split(".")
    valid = is_host_name(name) and all(0 < len(label) <= 63 for label in labels)
    return name if valid else None


def is_null(records: Iterable[str]) -> bool:
    """Whether a domain takes no mail: its only host is the root (RFC 7505 section 3)."""
    return {host for _, host in _pairs(records)} == {""}


def exchangers(records: Iterable[str]) -> dict[str, int]:
    """The hosts in MX records, each with the lowest preference it has. What is no host is left out:
    a null MX beside others (RFC 7505 section 3 forbids it), an address, what no host is called."""
    found: dict[str, int] = {}
    for preference, host in _pairs(records):
        if is_host_name(host):
            found[host] = min(preference, found.get(host, preference))
    return found


def _pairs(records: Iterable[str]) -> Iterable[tuple[int, str]]:
    """Preference and host, lower case and without the final dot, of `10 mx.example.com.`."""
    for record in records:
        preference, _, host = record.partition(" ")
        yield int(preference), host.removesuffix(".").lower()
