"""Signed tokens: the reference of one recipient's copy, and what an unsubscribe link holds.

A reference stands in the return path (VERP) and in a header of every copy. 38 bytes, written as 61
characters of base32 in lower case, which survive servers that fold case (RFC 5321 section 2.4 asks
them not to):

    B  version 1 in the upper half; in the lower the class, index in CLASSES
    4  tag of the application      2  tag of the site, a provider's name     16  message id
    5  mark of the recipient       10 MAC over all before it

Tags and marks are keyed hashes, so that a reference names nobody, and it means the same when the
message's record is gone: whoever has a name or an address can tell whether it is that. Its age is
in the message id. Everything is keyed BLAKE2b; pure but for the key.

An unsubscribe token holds application, list and address, encrypted and authenticated by AES-SIV
(RFC 5297): the same three give the same token, and it does not end.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from shared.addresses import canonical
from shared.ids import accepted_ms
from shared.model.message import CLASSES, MessageClass

RETURN_PATH_PREFIX = "b-"
"""With it the local part of a return path has 63 octets; 64 are allowed (RFC 5321 4.5.3.1.1)."""
REFERENCE_HEADER = "X-Posthaste-Reference"
TOKEN_CHARACTERS = 61
MOST_UNSUBSCRIBE = 1024
"""Characters of an unsubscribe token that are looked at."""
OTHER_SITES = "other"
"""In place of a provider's name: any other site."""

_VERSION = 1
_SIGNED = 28
_MAC = 10
_BYTES = _SIGNED + _MAC
_PAD = "=" * (-TOKEN_CHARACTERS % 8)
_NOBODY = bytes(5)


class Reference(msgspec.Struct, frozen=True):
    """A reference whose MAC is right: we have made it."""

    key: int
    """Which key: 0 the present one, 1 the one before."""
    message_class: MessageClass
    application_tag: bytes
    site_tag: bytes
    message_id: bytes
    mark: bytes
    """Five zero bytes: the copy was for several recipients, so it tells nothing about one."""

    @property
    def accepted_ms(self) -> int:
        """When the message was accepted: bounces count for a while from then on."""
        return accepted_ms(self.message_id)

    @property
    def has_recipient(self) -> bool:
        """Whether it is about one recipient."""
        return self.mark != _NOBODY


class Unsubscription(msgspec.Struct, frozen=True, array_like=True):
    """What an unsubscribe link asks for."""

    application: str
    list: str
    address: str
    """As it was written to."""


class _Key:
    """One secret and what is derived from it."""

    def __init__(self, secret: bytes) -> None:
        self.mac, self.application, self.site, self.recipient = (
            hashlib.blake2b(secret, digest_size=32, person=person).digest()
            for person in (b"reference", b"application", b"site", b"recipient")
        )
        self.siv = AESSIV(hashlib.blake2b(secret, digest_size=64, person=b"unsubscribe").digest())


def _keyed(key: bytes, text: bytes, size: int) -> bytes:
    return hashlib.blake2b(text, key=key, digest_size=size).digest()


class Tokens:
    """Makes and reads tokens. One for a process; the same keys on all machines."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """The present key, which signs, and the one before, which still counts, if any."""
        self._keys = [_Key(secret) for secret in secrets]
        self._tags = lru_cache(maxsize=4096)(self._tags_of)

    def _tags_of(self, message_class: MessageClass, application: str, site: str) -> bytes:
        """What all references of an application to a site begin with."""
        key = self._keys[0]
        kind = bytes((_VERSION << 4 | CLASSES.index(message_class),))
        name = _keyed(key.application, application.encode(), 4)
        return kind + name + _keyed(key.site, site.encode(), 2)

    def reference(
        self,
        message_id: bytes,
        application: str,
        message_class: MessageClass,
        site: str,
        address: str | None,
    ) -> str:
        """The token of a copy for `address`; None: for several recipients."""
        key = self._keys[0]
        signed = b"".join(
            (
                self._tags(message_class, application, site),
                message_id,
                _NOBODY if address is None else self._mark(key, message_id, address),
            )
        )
        return _encoded(signed + _keyed(key.mac, signed, _MAC))

    @staticmethod
    def _mark(key: _Key, message_id: bytes, address: str) -> bytes:
        return _keyed(key.recipient, message_id + canonical(address).encode(), 5)

    def read(self, token: str) -> Reference | None:
        """The reference that a token is; None when we have not made it."""
        if len(token) != TOKEN_CHARACTERS or not token.isascii():
            return None
        try:
            data = base64.b32decode(token.upper() + _PAD)
        except binascii.Error:
            return None
        if _encoded(data) != token.lower():  # The last character has one bit too many.
            return None
        signed, mac = data[:_SIGNED], data[_SIGNED:]
        if signed[0] >> 4 != _VERSION or signed[0] & 15 >= len(CLASSES):
            return None
        for number, key in enumerate(self._keys):
            if hmac.compare_digest(_keyed(key.mac, signed, _MAC), mac):
                return Reference(
                    key=number,
                    message_class=CLASSES[signed[0] & 15],
                    application_tag=signed[1:5],
                    site_tag=signed[5:7],
                    message_id=signed[7:23],
                    mark=signed[23:28],
                )
        return None

    def is_for(self, reference: Reference, address: str) -> bool:
        """Whether its copy was for this address."""
        key = self._keys[reference.key]
        return hmac.compare_digest(self._mark(key, reference.message_id, address), reference.mark)

    def application_of(self, reference: Reference, names: Iterable[str]) -> str | None:
        """Which of these applications it is; None: none of them."""
        key = self._keys[reference.key].application
        tag = reference.application_tag
        return next((each for each in names if _keyed(key, each.encode(), 4) == tag), None)

    def site_of(self, reference: Reference, names: Iterable[str]) -> str:
        """Which of these providers it went to, or `OTHER_SITES`."""
        key = self._keys[reference.key].site
        tag = reference.site_tag
        found = (each for each in names if _keyed(key, each.encode(), 2) == tag)
        return next(found, OTHER_SITES)

    def unsubscribe(self, application: str, list_name: str, address: str) -> str:
        """The token of an unsubscribe link, of URL-safe characters."""
        held = msgspec.msgpack.encode(Unsubscription(application, list_name, address))
        sealed = self._keys[0].siv.encrypt(held, None)
        return _url_safe(sealed)

    def read_unsubscribe(self, token: str) -> Unsubscription | None:
        """What an unsubscribe token holds; None when we have not made it."""
        if not token or len(token) > MOST_UNSUBSCRIBE or not token.isascii():
            return None
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if _url_safe(sealed) != token:  # Padding, or bits behind the last octet.
            return None
        for key in self._keys:
            try:
                held = key.siv.decrypt(sealed, None)
                return msgspec.msgpack.decode(held, type=Unsubscription)
            except (InvalidTag, ValueError, msgspec.MsgspecError):
                continue
        return None


def _url_safe(data: bytes) -> str:
    """Base64 of URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def return_path(token: str, domain: str) -> str:
    """The return path that a token stands in."""
    return f"{RETURN_PATH_PREFIX}{token}@{domain}"


def token_in(local_part: str) -> str | None:
    """The token in the local part of a return path of ours, whatever its case; None: none."""
    lower = local_part.lower()
    if not lower.startswith(RETURN_PATH_PREFIX):
        return None
    return lower.removeprefix(RETURN_PATH_PREFIX)


_DIGITS = b"abcdefghijklmnopqrstuvwxyz234567"


def _spreading() -> tuple[tuple[int, int, int], ...]:
    """For halves of 32 digits, of 16, ... of 1: masks of the lower and of the upper ones, and how
    far the upper ones move, so that a digit of 5 bits comes to have 8."""
    steps = []
    for digits in (32, 16, 8, 4, 2, 1):
        pairs = range(0, 8 * 64, 8 * 2 * digits)
        lower = sum(((1 << 5 * digits) - 1) << place for place in pairs)
        steps.append((lower, lower << 5 * digits, 3 * digits))
    return tuple(steps)


_SPREADING = _spreading()
_TO_DIGITS = _DIGITS * 8


def _encoded(data: bytes) -> str:
    """Base32 in lower case, without padding: all digits at once, a tenth of the library's time."""
    number = int.from_bytes(data, "big") << 16  # 304 bits, filled up to 64 digits.
    for lower, upper, shift in _SPREADING:
        number = number & lower | (number & upper) << shift
    return number.to_bytes(64, "big")[:TOKEN_CHARACTERS].translate(_TO_DIGITS).decode("ascii")
