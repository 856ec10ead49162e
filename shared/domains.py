"""Domain names as operators write them, checked and made A-labels."""

from __future__ import annotations

import idna

from shared.errors import ConfigError


def domain_of(text: str) -> str:
    """A domain as A-labels, lower case. Raises `ConfigError`."""
    try:
        name = idna.encode(text.strip(".").lower(), uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ConfigError(f"{text!r} is not a domain, such as example.com") from error
    if "." not in name:
        raise ConfigError(f"{text!r} is not a domain, such as example.com")
    return name
