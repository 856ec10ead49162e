"""DKIM signatures (RFC 6376): relaxed/relaxed, rsa-sha256 and ed25519-sha256 (RFC 8463).

`Dkim.sign` puts one signature for each key of the From domain, or of its nearest parent that has
any, in front of a message. It signs exactly the bytes that go on the wire, without `l=`, and every
signed header once more than it occurs, so that none can be added (RFC 6376 section 8.15). Pure but
for the time in `t=`.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from shared.clock import Clock
from shared.dkim import Key, Keys, nearest
from shared.feedback.tokens import REFERENCE_HEADER

ALWAYS = (
    "from", "to", "cc", "subject", "date", "message-id", "reply-to", "mime-version",
    "content-type", "content-transfer-encoding", "list-unsubscribe", "list-unsubscribe-post",
)  # fmt: skip
"""Signed whether they are there or not."""
IF_PRESENT = frozenset(
    {
        "auto-submitted", "feedback-id", "in-reply-to", "list-archive", "list-help", "list-id",
        "list-owner", "list-post", "list-subscribe", "references", REFERENCE_HEADER.lower(),
    }
)  # fmt: skip
_SIGNABLE = frozenset(ALWAYS) | IF_PRESENT
_FOLD = b"\r\n\t"
_WIDTH = 72
_PADDING = PKCS1v15()
_HASH = Prehashed(SHA256())  # SHA-256.


class Signed(msgspec.Struct, frozen=True):
    """A message as it goes out."""

    message: bytes
    signatures: int


class BodyHash(msgspec.Struct):
    """The hash of a body, which messages share that differ in header lines only."""

    value: bytes = b""
    """As it stands in `bh=`; empty: nobody has asked yet."""


class Dkim:
    """The signer of one worker: keys parsed once."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    def sign(
        self,
        message: bytes,
        domain: str,
        skip: tuple[str, ...] = (),
        body_hash: BodyHash | None = None,
    ) -> Signed:
        """`message`, whose From is in `domain`, signed; as it is when there is no key.

        `skip` has the headers, lower case, that the relay rewrites; `body_hash` is that of the body
        of `message`, which others may have, too.
        """
        found = nearest(self._keys, domain)
        if found is None:
            return Signed(message, 0)
        keys = self._keys[found]
        ends = message.index(b"\r\n\r\n")
        header = message[:ends]
        body_hash = body_hash or BodyHash()
        if not body_hash.value:
            digest = hashlib.sha256(relaxed_body(message[ends + 4 :])).digest()
            body_hash.value = base64.b64encode(digest)
        names, signed = _signed_headers(header, skip)
        at = self._clock.now_ms() // 1000
        signatures = [_signature(key, names, signed, body_hash.value, at) for key in keys]
        return Signed(b"".join((*signatures, message)), len(signatures))


def relaxed_body(body: bytes) -> bytes:
    """RFC 6376 section 3.4.4, for a body whose line ends are all CRLF."""
    if b"\t" in body:
        body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    if b" \r\n" in body:
        body = body.replace(b" \r\n", b"\r\n")
    body = body.rstrip(b" ") if body.endswith(b" ") else body
    kept = body.rstrip(b"\r\n")
    return kept + b"\r\n" if kept else b""


def relaxed_header(name: bytes, value: bytes) -> bytes:
    """RFC 6376 section 3.4.2, without the line end; `value` may be folded."""
    return name.strip().lower() + b":" + b" ".join(value.split())


def _signed_headers(header: bytes, skip: tuple[str, ...]) -> tuple[bytes, bytes]:
    """The folded `h=` value, and the signed headers in relaxed form, each with its CRLF."""
    unfolded = header.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    found: dict[str, list[bytes]] = {}
    for line in unfolded.split(b"\r\n"):
        name, _, value = line.partition(b":")
        lower, begins = _named(name)
        if lower in _SIGNABLE and lower not in skip:
            found.setdefault(lower, []).append(begins + b" ".join(value.split()))
    counts = tuple((name, len(lines)) for name, lines in found.items())
    # Of several with one name the last is signed first (RFC 6376 section 5.4.2).
    signed = b"".join(line + b"\r\n" for lines in found.values() for line in reversed(lines))
    return _names(counts, skip), signed


@lru_cache(maxsize=1024)
def _named(name: bytes) -> tuple[str, bytes]:
    """A header's name in lower case, and what its relaxed form begins with."""
    lower = name.strip().lower()
    return lower.decode("ascii"), lower + b":"


@lru_cache(maxsize=1024)
def _names(counts: tuple[tuple[str, int], ...], skip: tuple[str, ...]) -> bytes:
    """`h=`: each header as often as it occurs, then all of them once more."""
    names = [name for name, count in counts for _ in range(count)]
    present = [name for name, _ in counts]
    absent = [name for name in ALWAYS if name not in present and name not in skip]
    return _folded_names([*names, *present, *absent])


def _folded_names(names: list[str]) -> bytes:
    lines = [""]
    for index, name in enumerate(names):
        piece = name + (":" if index < len(names) - 1 else "")
        if len(lines[-1]) + len(piece) > _WIDTH:
            lines.append("")
        lines[-1] += piece
    return _FOLD.join(line.encode("ascii") for line in lines)


def _signature(key: Key, names: bytes, signed: bytes, body_hash: bytes, at: int) -> bytes:
    """A DKIM-Signature header with its CRLF."""
    value = b"".join(
        (
            f" v=1; a={key.kind}-sha256; c=relaxed/relaxed; d={key.domain};".encode("ascii"),
            _FOLD, f"s={key.selector}; t={at};".encode("ascii"),
            _FOLD, b"h=", names, b";",
            _FOLD, b"bh=", body_hash, b";",
            _FOLD, b"b=",
        )
    )  # fmt: skip
    digest = hashlib.sha256(signed + relaxed_header(b"DKIM-Signature", value)).digest()
    if isinstance(key.private, RSAPrivateKey):
        raw = key.private.sign(digest, _PADDING, _HASH)
    else:
        raw = key.private.sign(digest)
    encoded = base64.b64encode(raw)
    pieces = [encoded[at : at + _WIDTH] for at in range(0, len(encoded), _WIDTH)]
    return b"DKIM-Signature:" + value + _FOLD.join(pieces) + b"\r\n"
