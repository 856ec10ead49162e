"""Whether a domain's SPF record lets an address send for it (RFC 7208).

Without macros and `ptr`: a term that has them is `unknown`, and so is what follows from it alone.
"""

from __future__ import annotations

import ipaddress
import re

import msgspec

from shared.doctor.dns import Names
from shared.hosts import Address

MOST_LOOKUPS = 10
"""RFC 7208 section 4.6.4; receivers give up beyond."""
_RESULTS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_TERM = re.compile(
    r"([+~?-]?)([a-z0-9]+)(?::([^/\s]+))?((?:/[0-9]+)?(?://[0-9]+)?)\Z", re.IGNORECASE
)


class Verdict(msgspec.Struct, frozen=True):
    """What a receiver would conclude."""

    result: str
    """pass, fail, softfail, neutral, none, permerror, or unknown when this file cannot tell."""
    why: str = ""


class Broken(Exception):
    """The record cannot be evaluated by anybody; ends in `evaluate` as permerror."""


class _Evaluation:
    def __init__(self, names: Names, source: Address | None) -> None:
        self._names = names
        self._source = source
        self._lookups = 0

    async def check(self, domain: str) -> str:
        """The result of one record; `none` without one."""
        records = [
            each
            for each in await self._names.look_up(domain, "TXT")
            if each.lower() == "v=spf1" or each.lower().startswith("v=spf1 ")
        ]
        if not records:
            return "none"
        if len(records) > 1:
            raise Broken(f"{domain} has {len(records)} SPF records")
        terms = records[0].split()[1:]
        redirect = ""
        for term in terms:
            if term.lower().startswith("redirect="):
                redirect = term.partition("=")[2]
            elif "=" not in term.partition(":")[0]:
                result = await self._term(term, domain)
                if result:
                    return result
        if not redirect:
            return "neutral"
        self._count()
        result = await self.check(redirect)
        if result == "none":
            raise Broken(f"{domain} points to {redirect}, which has no SPF record")
        return result

    def _count(self) -> None:
        self._lookups += 1
        if self._lookups > MOST_LOOKUPS:
            raise Broken(f"it takes more than {MOST_LOOKUPS} look-ups")

    async def _term(self, text: str, domain: str) -> str:
        """The result when the term matches; empty when it does not."""
        if "%" in text:
            return ""
        match = re.match(r"([+~?-]?)(ip[46]):(.+)\Z", text, re.IGNORECASE)
        if match:
            return _RESULTS[match[1] or "+"] if self._in(match[3], text) else ""
        match = _TERM.match(text)
        if match is None:
            raise Broken(f"{domain}: {text[:80]!r} is no term of SPF")
        sign, name, target, lengths = (
            match[1] or "+",
            match[2].lower(),
            match[3] or domain,
            match[4],
        )
        matches = await self._matches(name.lower(), target or domain, lengths, text)
        return _RESULTS[sign or "+"] if matches else ""

    async def _matches(self, name: str, target: str, lengths: str, text: str) -> bool:
        if name == "all":
            return True
        if name not in ("a", "mx", "include", "exists", "ptr"):
            raise Broken(f"{text[:80]!r} is no term of SPF")
        self._count()
        if name == "include":
            result = await self.check(target)
            if result == "none":
                raise Broken(f"it includes {target}, which has no SPF record")
            return result == "pass"
        if name == "a":
            return self._among(await self._names.addresses(target), lengths)
        if name == "mx":
            for host in await self._names.exchangers(target):
                if self._among(await self._names.addresses(host), lengths):
                    return True
            return False
        return name == "exists" and bool(await self._names.look_up(target, "A"))

    def _among(self, addresses: list[str], lengths: str) -> bool:
        four, _, six = lengths.partition("//")
        for each in addresses:
            length = six if ":" in each else four.removeprefix("/")
            if self._in(f"{each}/{length}" if length else each, each):
                return True
        return False

    def _in(self, network: str, text: str) -> bool:
        try:
            found = ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            raise Broken(f"{text[:80]!r} has no address in it") from error
        return self._source is not None and self._source in found


async def evaluate(names: Names, domain: str, source: Address | None) -> Verdict:
    """The verdict on mail of a domain from a source; None walks the whole record. `NoAnswer`."""
    try:
        return Verdict(await _Evaluation(names, source).check(domain))
    except Broken as error:
        return Verdict("permerror", str(error))
