"""The name of a site: the set of MX hosts that a domain's mail goes to. Pure.

All domains with the same hosts have the same site, and so share sessions and limits, whatever
order, preference or case they list them in. The name is for people and for keys: at most 200
characters of `[a-z0-9._~-]`. `~` is in no host name, so no two kinds of name can be confused.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

from shared.hosts import address

MOST_CHARACTERS = 200
_DIGEST_CHARACTERS = 20
"""100 bits: whoever found another set with the name of a known one would share its sessions."""
_OTHER = re.compile(r"[^a-z0-9._-]")


def site_of(hosts: Iterable[str]) -> str:
    """The site of some MX hosts; of none at all it is a `ValueError`.

    One host is the site's name. Of several it is the shortest one's, of these the first in the
    alphabet, which tends to be how the provider is known, and a digest of all of them.
    """
    names = sorted({host.lower().removesuffix(".") for host in hosts}, key=lambda n: (len(n), n))
    if not names:
        raise ValueError("a site without hosts")
    shown = _OTHER.sub("-", names[0])
    if len(names) == 1 and shown == names[0] and len(shown) <= MOST_CHARACTERS:
        return shown
    digest = hashlib.sha256("\n".join(names).encode()).digest()
    short = base64.b32encode(digest).decode("ascii").lower()[:_DIGEST_CHARACTERS]
    return f"{shown[: MOST_CHARACTERS - _DIGEST_CHARACTERS - 1]}~{short}"


def site_of_address(text: str) -> str:
    """The site of an address literal. Raises `ValueError` when the text is no address."""
    found = address(text)
    if found is None:
        raise ValueError(f"{text!r} is no address")
    return f"ipv{found.version}~{str(found).replace(':', '-')}"
