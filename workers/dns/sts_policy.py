"""MTA-STS as texts: the record in DNS (RFC 8461 section 3.1) and the policy (section 3.2). Pure.

Both are read strictly: what breaks their grammar is no record and no policy. Fields that nobody
knows are passed over, and of a field that stands there twice the first one counts (section 3.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from shared.hosts import is_host_name

Mode = Literal["enforce", "testing", "none"]
_MODES: dict[str, Mode] = {"enforce": "enforce", "testing": "testing", "none": "none"}
MOST_SECONDS = 31_557_600
"""The largest `max_age`, about a year."""

_ID = re.compile(r"[A-Za-z0-9]{1,32}\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}\Z")
_RECORD_VALUE = re.compile(r"[!-:<>-~]+\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BLANKS = " \t"


class Policy(msgspec.Struct, frozen=True):
    """What a domain asks of those who deliver to it."""

    mode: Mode
    mx: tuple[str, ...]
    """Host names, lower case; `*.` stands for one label."""
    max_age_seconds: int

    @property
    def enforced(self) -> bool:
        """Whether nothing may be delivered that breaks the policy."""
        return self.mode == "enforce"

    def matches(self, host: str) -> bool:
        """Whether an MX host is one of the policy's (section 4.1)."""
        name = host.lower().removesuffix(".")
        _, dot, parent = name.partition(".")
        return name in self.mx or bool(dot and f"*.{parent}" in self.mx)


class NoPolicy(msgspec.Struct, frozen=True):
    """Why there is none to apply, in words of ours."""

    reason: str


def record_id(records: Iterable[str]) -> str | None:
    """The policy's id in the TXT records at `_mta-sts`; None unless exactly one record is valid."""
    ours = [each for each in records if each.startswith("v=STSv1;")]
    if len(ours) != 1:
        return None
    fields = [each.strip(_BLANKS) for each in ours[0].split(";")[1:]]
    if fields[-1] == "":
        fields.pop()
    found: dict[str, str] = {}
    for field in fields:
        name, _, value = field.partition("=")
        if not _NAME.match(name) or not _RECORD_VALUE.match(value):
            return None
        found.setdefault(name, value)
    identity = found.get("id", "")
    return identity if _ID.match(identity) else None


def read_policy(body: bytes) -> Policy | NoPolicy:
    """The policy in a file."""
    try:
        lines = body.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        return NoPolicy("the policy is not UTF-8")
    hosts: list[str] = []
    found: dict[str, str] = {}
    for line in lines:
        text = line.removesuffix("\r").rstrip(_BLANKS)
        if not text:
            continue  # Many files end with empty lines, though the grammar has none.
        name, colon, value = text.partition(":")
        value = value.lstrip(_BLANKS)
        if not colon or not _NAME.match(name) or not value or _CONTROL.search(value):
            return NoPolicy("the policy has a line that is no field")
        if name == "mx":
            hosts.append(value.lower())
        else:
            found.setdefault(name, value)
    return _policy(found, hosts)


def _policy(found: dict[str, str], hosts: list[str]) -> Policy | NoPolicy:
    if found.get("version") != "STSv1":
        return NoPolicy("the policy has no version, or one that nobody knows")
    mode = _MODES.get(found.get("mode", ""))
    if mode is None:
        return NoPolicy("the policy has no mode, or one that nobody knows")
    age = found.get("max_age", "")
    if not re.fullmatch(r"[0-9]{1,10}", age) or int(age) > MOST_SECONDS:
        return NoPolicy("the policy has no max_age, or one that is out of bounds")
    if not all(is_host_name(host.removeprefix("*.")) for host in hosts):
        return NoPolicy("the policy has an mx that is neither a host nor *. before one")
    if not hosts and mode != "none":
        return NoPolicy("the policy has no mx")
    return Policy(mode, tuple(dict.fromkeys(hosts)), int(age))
