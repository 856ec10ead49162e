"""What `shaping.toml` says: frozen structs, one table each. Values only.

`shared.shaping.file` fills them from the shipped file and the installation's own and checks them.
"""

from __future__ import annotations

import msgspec


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much at once. None: not said here; 0: no limit, although another table has one."""

    connections: int | None = None
    """SMTP sessions open at once, over all workers."""
    connections_per_second: float | None = None
    """Sessions opened in a second, over all workers."""
    messages_per_connection: int | None = None
    """Then the session is closed."""
    recipients_per_transaction: int | None = None
    """1 to 100."""
    per_second: float | None = None
    """Legs (transactions) a second, over all workers; so are the next three."""
    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    weight: int | None = None
    """Its share beside other destinations when workers are busy: 1 to 1000."""


class TableShape(Shape, frozen=True):
    """A table of the file: `[default]`, which is for every site."""

    reason: str = ""
    """Why these figures."""
    source: str = ""
    """The URL of the page that says so."""


class SiteShape(TableShape, frozen=True):
    """`[site.NAME]`: a provider, known by its MX hosts."""

    mx: tuple[str, ...] = ()
    """`*.example.com` for what is below it, or a host's full name. Every MX host must match one."""
    domains: tuple[str, ...] = ()
    """Domains of addresses there, by which figures of mail that goes to a relay are told apart."""
    enabled: bool = True
    """false: as if the entry were not there."""


class RelayShape(TableShape, frozen=True):
    """`[relay.NAME]`: one of the relays in posthaste.toml."""


class RouteShape(TableShape, frozen=True):
    """`[route.NAME]`: one of the routes in posthaste.toml, whichever site or relay it leads to."""


class RuleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[rule]]`: a reply by which a site or relay asks for less. All that is said must match."""

    name: str = ""
    codes: tuple[int, ...] = ()
    """Reply codes, 400 to 599; empty: any 4xx."""
    enhanced: tuple[str, ...] = ()
    """Enhanced codes, `4.7.28`, or `4.7.*` for all below; empty: any or none."""
    text: str = ""
    """Regular expression, found anywhere in the reply's text, in any case; empty: any text."""
    sites: tuple[str, ...] = ()
    """Names of `[site.NAME]`; empty: every site and relay."""
    suspend_seconds: float = 0.0
    """How long nothing is sent there; 0: that goes on."""
    slow: bool = False
    """Send slower from then on, and recover by steps."""
    reason: str = ""
    source: str = ""
    enabled: bool = True
    """false: as if the rule were not there."""


class ShapingFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tables that a file may have."""

    default: TableShape = TableShape()
    site: dict[str, SiteShape] = {}
    """In the order in which they are asked."""
    relay: dict[str, RelayShape] = {}
    route: dict[str, RouteShape] = {}
    rule: tuple[RuleSettings, ...] = ()


class ShapingSettings(msgspec.Struct, frozen=True):
    """The shipped file with the installation's over it. Sites and rules turned off are left out."""

    default: TableShape = TableShape()
    site: dict[str, SiteShape] = {}
    relay: dict[str, RelayShape] = {}
    route: dict[str, RouteShape] = {}
    rule: tuple[RuleSettings, ...] = ()
    path: str = ""
    """The installation's file; empty: there is none."""
    own: frozenset[tuple[str, str, str]] = frozenset()
    """(table, name, field) of each value that comes from it, such as (site, google, per_hour)."""


FIGURES = tuple(field.name for field in msgspec.structs.fields(Shape))
"""The names of all limits."""
