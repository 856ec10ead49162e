"""What a copy is known by when news of it come back: its token, return path and header lines.

Takes the head of a claimed leg and the recipients that it goes to; gives a `Copy`. Header lines
stand before those of the message, so that the message itself is the same for all its recipients.
Without a key (`[feedback]`) copies have none of it. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

import msgspec

from shared.feedback.tokens import OTHER_SITES, REFERENCE_HEADER, return_path
from shared.headers import MAX_LINE
from shared.model.message import Content, Head
from shared.outgoing import Outgoing
from shared.routing import mail_domain
from workers.shapes import Shapes

LEAST_SENDER_ID, LONGEST_SENDER_ID = 5, 15
"""Characters of the last field of a Feedback-ID, as Google wants it."""
LONGEST_FIELD = 40
"""Of its other fields."""
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")
_LABEL = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\Z")


class Copy(msgspec.Struct, frozen=True):
    """How one transaction's copy of a message differs from others."""

    return_path: str
    """MAIL FROM."""
    lines: tuple[bytes, ...] = ()
    """Header lines, none of them folded, without line ends."""


class References:
    """Made of the settings, anew at each reload."""

    def __init__(self, outgoing: Outgoing | None = None, shapes: Shapes | None = None) -> None:
        """Without `outgoing` no copy has anything of its own."""
        self._tokens = outgoing.tokens if outgoing is not None else None
        self._routes = outgoing.routes if outgoing is not None else None
        self._domains = outgoing.return_domains if outgoing is not None else ()
        self._url = outgoing.unsubscribe_url if outgoing is not None else ""
        self._shapes = shapes
        self._domain_of = lru_cache(maxsize=4096)(self._nearest)

    def _nearest(self, domain: str) -> str:
        return nearest(self._domains, domain)

    def alone(self, head: Head, hops: Mapping[int, str]) -> dict[int, str]:
        """`Routes.alone`, of the recipients at these hops."""
        return self._routes.alone(head, hops) if self._routes is not None else {}

    def copy(
        self, message_id: bytes, head: Head, content: Content, hop: str, indices: Sequence[int]
    ) -> Copy:
        """The copy for these recipients, by this hop. `hop` is the leg's, a pool's too."""
        tokens = self._tokens
        if tokens is None or self._routes is None:
            return Copy(head.return_path)
        first = head.recipients[indices[0]]
        alone = len(indices) == 1
        token = tokens.reference(
            message_id, head.application, head.message_class,
            self._site(head, hop, indices), first.email if alone else None,
        )  # fmt: skip
        lines = [b"%s: %s" % (_REFERENCE, token.encode())]
        given = {name.lower() for name, _ in content.headers} if content.headers else ()
        if "feedback-id" not in given:
            tag = head.tags[0] if head.tags else ""
            lines.append(
                feedback_id(
                    head.list, tag, head.application, head.message_class, head.sender.domain
                )
            )
        if head.list and self._url and alone:
            lines += _list_id(head, given)
            link = tokens.unsubscribe(head.application, head.list, first.email)
            lines += _unsubscribe(f"{self._url}/u/{link}", given)
        own = alone and self._domains and self._routes.has_own_path(head, first, hop)
        path = return_path(token, self._domain_of(head.sender.domain)) if own else head.return_path
        return Copy(path, tuple(lines))

    def _site(self, head: Head, hop: str, indices: Sequence[int]) -> str:
        """The one that all of these recipients are at, else `OTHER_SITES`."""
        if self._shapes is None:
            return OTHER_SITES
        if len(indices) == 1:
            return self._shapes.site(hop, mail_domain(head.recipients[indices[0]]))
        sites = {self._shapes.site(hop, mail_domain(head.recipients[each])) for each in indices}
        return sites.pop() if len(sites) == 1 else OTHER_SITES


_REFERENCE = REFERENCE_HEADER.encode("ascii")


def nearest(domains: Sequence[str], domain: str) -> str:
    """Of `domains` the one that has the longest end in common with a From domain, of two labels at
    least: DMARC then takes SPF's word, too (RFC 7489 section 3.1.2); else the first."""
    wanted = domain.split(".")[::-1]
    best, most = domains[0], 1
    for each in domains:
        common = 0
        for one, other in zip(each.split(".")[::-1], wanted, strict=False):
            if one != other:
                break
            common += 1
        if common > most:
            best, most = each, common
    return best


@lru_cache(maxsize=4096)
def feedback_id(list_name: str, tag: str, application: str, kind: str, domain: str) -> bytes:
    """Four fields, by which Gmail counts complaints: list or tag, application, class, sender. No
    value stands in two places, since each is counted by itself; an empty field is passed over."""
    campaign = _field("list", list_name) if list_name else _field("tag", tag) if tag else ""
    fields = (campaign, _field("app", application), kind, sender_id(domain))
    return f"Feedback-ID: {':'.join(fields)}".encode("ascii")


def _field(kind: str, text: str) -> str:
    return f"{kind}-{_NOT_PLAIN.sub('-', text)}"[:LONGEST_FIELD]


def sender_id(domain: str) -> str:
    """5 to 15 characters that stand for a From domain: itself, where it is as short."""
    if LEAST_SENDER_ID <= len(domain) <= LONGEST_SENDER_ID:
        return domain
    digest = hashlib.blake2b(domain.encode(), digest_size=3).hexdigest()
    return f"{domain[: LONGEST_SENDER_ID - 7]}-{digest}"


def _list_id(head: Head, given: Collection[str]) -> list[bytes]:
    """List-Id (RFC 2919), where the list's name can be one, and the client has given none."""
    if "list-id" in given or not _LABEL.match(head.list):
        return []
    return [f"List-Id: <{head.list}.{head.sender.domain}>".encode("ascii")]


def _unsubscribe(url: str, given: Collection[str]) -> list[bytes]:
    """RFC 8058; on one line, because a URL must not be folded. Nothing where that is too long."""
    line = f"List-Unsubscribe: <{url}>".encode("ascii")
    if len(line) > MAX_LINE or "list-unsubscribe" in given:
        return []
    return [line, b"List-Unsubscribe-Post: List-Unsubscribe=One-Click"]
