"""Routes: which next hop each recipient's mail takes.

`Routes` is made of the settings once; everything else is pure. The first `[[route]]` that matches
decides, for each recipient by itself; what none matches goes to the first relay. Where that depends
on the recipient's site, the hop is `UNDECIDED_HOP` until a worker has asked DNS. They also say
whose copy goes alone, in a transaction of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from fnmatch import translate
from typing import Literal

import msgspec

from shared.domains import domain_of
from shared.errors import ConfigError
from shared.hops import (
    LONGEST_DIRECT_NAME,
    POOL,
    UNDECIDED,
    MxHop,
    Path,
    PoolMembers,
    queue_of,
    unresolved,
)
from shared.hosts import address, is_greeting
from shared.model.message import CLASSES, Head, Recipient
from shared.outgoing_settings import RelaySettings, RouteSettings
from shared.settings import Settings

RELAY_HOP = "relay"
"""The first relay's name, unless its entry says otherwise."""
MAX_RECIPIENTS = 100
"""Recipients of one leg, so of one transaction (RFC 5321 section 4.5.3.1.8)."""

UNDECIDED_HOP = MxHop(route=UNDECIDED).hop
"""Of mail whose route depends on a site that is not known."""

MOST_WEIGHT = 1000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")


class _Route(msgspec.Struct, frozen=True):
    """An entry, ready to be asked."""

    name: str
    hop: str
    pool: PoolMembers | None
    members: tuple[str, ...]
    applications: re.Pattern[str] | None
    classes: tuple[str, ...]
    tags: re.Pattern[str] | None
    sender_domains: re.Pattern[str] | None
    recipient_domains: re.Pattern[str] | None
    sites: re.Pattern[str] | None

    def takes_message(self, head: Head) -> bool:
        """Whether all of it matches that is the same for every recipient."""
        return (
            (not self.classes or head.message_class in self.classes)
            and _matches(self.applications, (head.application,))
            and _matches(self.tags, head.tags)
            and _matches(self.sender_domains, (head.sender.domain,))
        )

    def takes(self, domain: str) -> bool:
        """Whether a recipient's domain matches."""
        return _matches(self.recipient_domains, (domain,))

    def takes_site(self, hosts: Collection[str]) -> bool:
        """Whether a domain's MX hosts match: every one. A domain without any has no site."""
        return bool(hosts) and all(_matches(self.sites, (host,)) for host in hosts)


_UNDECIDED = _Route("", UNDECIDED_HOP, None, (), None, (), None, None, None, None)


class Routes:
    """Where mail goes."""

    def __init__(self, settings: Settings) -> None:
        """Raises `ConfigError`."""
        self._relays = relays = relay_names(settings.relay)
        self.default = relays[0]
        self._routes = tuple(
            _route(index, entry, relays, own_name(entry, settings.shaping.route))
            for index, entry in enumerate(settings.route)
        )
        self._direct = frozenset(
            own_name(each, settings.shaping.route) for each in settings.route if each.direct
        )
        self._return_paths = bool(settings.bounces.domains)
        self._without_verp = frozenset(
            each.name for each in settings.route if each.verp not in ("on", True)
        )
        names = [each.name for each in self._routes]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"route: there are two routes named {name}")

    @property
    def hops(self) -> tuple[str, ...]:
        """Every hop that mail can take, the relays first."""
        routed = [hop for each in self._routes for hop in (each.hop, *each.members)]
        asked = [UNDECIDED_HOP for each in self._routes if each.sites]
        return tuple(dict.fromkeys([*self._relays, *routed, *asked]))

    @property
    def names(self) -> tuple[str, ...]:
        """Of all routes, in order."""
        return tuple(each.name for each in self._routes)

    @property
    def pools(self) -> dict[str, PoolMembers]:
        """The pools, by their hops."""
        return {each.hop: each.pool for each in self._routes if each.pool is not None}

    @property
    def by_site(self) -> bool:
        """Whether a route matches on sites, so that DNS is needed though none may be direct."""
        return any(each.sites for each in self._routes)

    def route_of(
        self, head: Head, recipient: Recipient, hosts: Collection[str] | None = None
    ) -> str:
        """The name of the route that a recipient's mail takes; empty: none of its own, or it
        depends on the MX hosts of its domain, which are not known."""
        found = self._find(self._candidates(head), recipient, hosts)
        return found.name if found is not None else ""

    def route_at(self, head: Head, recipient: Recipient, hop: str) -> str:
        """The same for mail that is at a hop: where its route depends on MX hosts that are not
        known, the first that could have led there."""
        candidates = self._candidates(head)
        found = self._find(candidates, recipient, None)
        if found is _UNDECIDED:
            domain = recipient.email.rpartition("@")[2]
            there = (each for each in candidates if each.hop == hop and each.takes(domain))
            found = next(there, None)
        return found.name if found is not None else ""

    def has_own_path(self, head: Head, recipient: Recipient, hop: str) -> bool:
        """Whether a recipient's copy at a hop has a return path of our own (VERP)."""
        if not self._return_paths or head.return_path != head.sender.email:
            return False  # There are none, or the message has said where bounces go.
        if not self._without_verp:
            return True
        if hop == UNDECIDED_HOP:
            candidates = self._candidates(head)
            return not any(each.name in self._without_verp for each in candidates)
        return self.route_at(head, recipient, unresolved(queue_of(hop))) not in self._without_verp

    def alone(self, head: Head, hops: Mapping[int, str]) -> dict[int, str]:
        """Of the recipients at these hops those whose copies differ, so that each goes in a
        transaction of its own; each with a mark that no other has."""
        if not head.list and (not self._return_paths or head.return_path != head.sender.email):
            return {}
        people = head.recipients
        return {
            index: f"#{index}"
            for index, hop in hops.items()
            if head.list or self.has_own_path(head, people[index], hop)
        }

    @property
    def direct(self) -> frozenset[str]:
        """What hops of direct delivery may be named after: routes with something of their own,
        and the empty name for the others. Empty when no route is direct."""
        return self._direct

    def hops_of(
        self, head: Head, indices: Iterable[int], hosts: Mapping[str, Collection[str]] | None = None
    ) -> list[str]:
        """The hop of each of these recipients. `hosts`: the MX hosts of domains, none where one has
        no site; `UNDECIDED_HOP` for a recipient whose domain's are needed and not there."""
        candidates, known = self._candidates(head), hosts or {}
        if not candidates:
            return [self.default for _ in indices]
        people = [head.recipients[index] for index in indices]
        found = [self._find(candidates, each, known.get(mail_domain(each))) for each in people]
        return [each.hop if each is not None else self.default for each in found]

    def _candidates(self, head: Head) -> list[_Route]:
        return [each for each in self._routes if each.takes_message(head)]

    @staticmethod
    def _find(
        candidates: Sequence[_Route], recipient: Recipient, hosts: Collection[str] | None
    ) -> _Route | None:
        domain = recipient.email.rpartition("@")[2]
        for each in candidates:
            if not each.takes(domain):
                continue
            if each.sites is None:
                return each
            if hosts is None:
                return _UNDECIDED
            if each.takes_site(hosts):
                return each
        return None


def mail_domain(recipient: Recipient) -> str:
    """The domain that DNS is asked for."""
    return recipient.email.rpartition("@")[2].lower()


def _matches(pattern: re.Pattern[str] | None, texts: Iterable[str]) -> bool:
    return pattern is None or any(pattern.match(text) for text in texts)


def relay_names(entries: Sequence[RelaySettings]) -> tuple[str, ...]:
    """The relays' names, in order; needs no secret. Raises `ConfigError`."""
    names: list[str] = []
    for index, entry in enumerate(entries):
        name = entry.name or (RELAY_HOP if index == 0 else "")
        if not name:
            raise ConfigError(f"relay[{index}] needs a name: only the first one has a default")
        if not _NAME.match(name):
            raise ConfigError(f"relay[{index}].name: lower-case letters, digits, '.', '_' and '-'")
        if name in names:
            raise ConfigError(f"relay[{index}].name: there are two relays named {name}")
        names.append(name)
    if not names:
        raise ConfigError("there is no relay: add [[relay]] with a host to posthaste.toml")
    return tuple(names)


def _route(index: int, entry: RouteSettings, relays: Sequence[str], own: str) -> _Route:
    """An entry, checked; `own` is its `own_name`. Raises `ConfigError`."""
    name = entry.name
    where = f"route[{index}] ({name})" if name else f"route[{index}]"
    if not _NAME.match(name):
        raise ConfigError(f"{where} needs a name: lower-case letters, digits, '.', '_' and '-'")
    _check_relays(where, entry, relays, own)
    if entry.ehlo_name and not is_greeting(entry.ehlo_name):
        raise ConfigError(f"{where}: ehlo_name must be a host name, or an address in brackets")
    if entry.source_address and address(entry.source_address) is None:
        raise ConfigError(f"{where}: source_address must be an IP address of this machine")
    for each in entry.classes:
        if each not in CLASSES:
            raise ConfigError(f"{where}: classes are {', '.join(CLASSES)}; {each!r} is none")
    if entry.direct:
        members: tuple[str, ...] = (MxHop(route=own).hop,)
    else:
        members = tuple(Path(relay, own).hop for relay in entry.relays or (entry.relay,))
    return _Route(
        name=name,
        hop=f"{POOL}{name}" if entry.relays else members[0],
        pool=_pool(entry, members),
        members=members,
        applications=_pattern(where, "applications", entry.applications),
        classes=entry.classes,
        tags=_pattern(where, "tags", entry.tags),
        sender_domains=_domains(where, "sender_domains", entry.sender_domains),
        recipient_domains=_domains(where, "recipient_domains", entry.recipient_domains),
        sites=_domains(where, "sites", entry.sites),
    )


def own_name(entry: RouteSettings, limited: Container[str]) -> str:
    """The name that a route's hops have behind `@`; empty: they are shared with other routes.

    `limited` are the routes with limits of their own, `settings.shaping.route`: those count what
    goes by their own hops.
    """
    own = entry.source_address or entry.ehlo_name or entry.tls or entry.name in limited
    return entry.name if own else ""


def _check_relays(where: str, entry: RouteSettings, relays: Sequence[str], own: str) -> None:
    if [bool(entry.relay), bool(entry.relays), entry.direct].count(True) != 1:
        raise ConfigError(
            f"{where}: give it a relay, or the relays of a pool, or direct = true, not both"
        )
    if entry.direct:
        if len(own) > LONGEST_DIRECT_NAME:
            raise ConfigError(f"{where}: name may have {LONGEST_DIRECT_NAME} characters at most")
        if entry.weights:
            raise ConfigError(f"{where}: weights are for relays")
        return
    _check_members(where, entry, relays)


def _check_members(where: str, entry: RouteSettings, relays: Sequence[str]) -> None:
    if entry.tls:
        raise ConfigError(f"{where}: tls is for direct = true; a relay's entry says its own")
    for each in entry.relays or (entry.relay,):
        if each not in relays:
            raise ConfigError(f"{where}: {each!r} is no relay; there are {', '.join(relays)}")
    if len(set(entry.relays)) < len(entry.relays):
        raise ConfigError(f"{where}: relays has one of them twice")
    if entry.weights and len(entry.weights) != len(entry.relays):
        raise ConfigError(f"{where}: weights needs one number for each of its relays")
    if not all(1 <= weight <= MOST_WEIGHT for weight in entry.weights):
        raise ConfigError(f"{where}: weights are numbers from 1 to {MOST_WEIGHT}")


def _pool(entry: RouteSettings, members: Sequence[str]) -> PoolMembers | None:
    if not entry.relays:
        return None
    kind: Literal["ordered", "weighted"] = "weighted" if entry.weights else "ordered"
    weights = entry.weights or (1,) * len(members)
    return PoolMembers(kind, tuple(zip(members, weights, strict=True)))


def _pattern(where: str, field: str, texts: Sequence[str]) -> re.Pattern[str] | None:
    """What matches one of these, `*` standing for anything; None: anything at all matches."""
    if not all(texts):
        raise ConfigError(f"{where}: {field} has an empty entry")
    return re.compile("|".join(translate(text) for text in texts)) if texts else None


def _domains(where: str, field: str, texts: Sequence[str]) -> re.Pattern[str] | None:
    """The same for domains, which are A-labels: `*.example.com` is what is below it, not itself."""
    names = []
    for text in texts:
        star, rest = ("*.", text[2:]) if text.startswith("*.") else ("", text)
        try:
            names.append(star + domain_of(rest))
        except ConfigError as error:
            raise ConfigError(f"{where}: {field}: {error}") from error
    return _pattern(where, field, names)
