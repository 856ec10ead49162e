"""What an entry of `shaping.toml` must be: each rule is a `ConfigError` that says what to write.

The texts begin with the field; `shared.shaping.file` puts the file and the table before them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection

from shared.errors import ConfigError
from shared.hosts import is_host_name
from shared.setting_names import nearest
from shared.shaping.pattern import compiled
from shared.shaping.settings import FIGURES, RouteShape, RuleSettings, Shape, SiteShape

MOST = 1_000_000_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_ENHANCED = re.compile(r"[45]\.(\*|[0-9]{1,3}\.(\*|[0-9]{1,3}))\Z")
_LONGEST_SUSPENSION = 86_400.0
_NO_LIMIT = "0 for no limit"
_WHOLE = f"a whole number from 1 to {MOST:,}, or {_NO_LIMIT}"
MEANT = {
    "connections": f"a whole number from 1 to 10,000, or {_NO_LIMIT}",
    "connections_per_second": f"a number from 0.001 to 1,000,000, or {_NO_LIMIT}",
    "messages_per_connection": f"a whole number from 1 to 10,000, or {_NO_LIMIT}",
    "recipients_per_transaction": "a whole number from 1 to 100",
    "per_second": f"a number from 0.001 to 1,000,000, or {_NO_LIMIT}",
    "per_minute": _WHOLE,
    "per_hour": _WHOLE,
    "per_day": _WHOLE,
    "weight": "a whole number from 1 to 1,000",
    "mx": 'a list of MX hosts, such as ["*.mx.example.com", "mail.example.net"]',
    "domains": 'a list of domains of addresses, such as ["example.com"]',
    "codes": "a list of reply codes from 400 to 599, such as [421, 451]",
    "enhanced": 'a list of enhanced codes, such as ["4.7.28"] or ["4.7.*"]',
    "sites": 'a list of names of [site.NAME], such as ["google"]',
    "suspend_seconds": "a number of seconds, from 0 to 86,400",
    "slow": "true or false",
    "enabled": "true or false",
}
"""What each field is, for whoever wrote something else."""
_RANGES: dict[str, tuple[float, float, bool]] = {
    "connections": (1, 10_000, True),
    "connections_per_second": (0.001, 1e6, True),
    "messages_per_connection": (1, 10_000, True),
    "recipients_per_transaction": (1, 100, False),
    "per_second": (0.001, 1e6, True),
    "per_minute": (1, MOST, True),
    "per_hour": (1, MOST, True),
    "per_day": (1, MOST, True),
    "weight": (1, 1000, False),
}
"""(least, most, whether 0 lifts a limit)."""
_NOT_OF_A_ROUTE = ("messages_per_connection", "recipients_per_transaction")


def check_name(name: str) -> None:
    """Of a site or a rule."""
    if not _NAME.match(name):
        raise ConfigError("a name has lower-case letters, digits, '.', '_' and '-', 64 at most")


def check_shape(shape: Shape) -> None:
    """The figures of any table."""
    for figure in FIGURES:
        value = getattr(shape, figure)
        if value is None:
            continue
        if isinstance(shape, RouteShape) and figure in _NOT_OF_A_ROUTE:
            raise ConfigError(f"{figure} is for [default], [site.NAME] and [relay.NAME]")
        least, most, lifts = _RANGES[figure]
        if not (least <= value <= most or (lifts and value == 0)):
            raise ConfigError(f"{figure} must be {MEANT[figure]}; it is {value}")


def check_site(name: str, site: SiteShape, known: Collection[str]) -> None:
    """`known` are the sites that this one may have been meant to change."""
    if not site.mx and site.enabled:
        raise ConfigError(
            f"mx is missing: give {MEANT['mx']}, or the name of a site that is shipped"
            + nearest(name, list(known))
        )
    for pattern in site.mx:
        host = pattern.removeprefix("*.").lower()
        if not is_host_name(host) or "." not in host:
            raise ConfigError(f"mx must be {MEANT['mx']}; {pattern!r} is none")
    for domain in site.domains:
        if not is_host_name(domain.lower()) or "." not in domain:
            raise ConfigError(f"domains must be {MEANT['domains']}; {domain!r} is none")


def check_rule(rule: RuleSettings, sites: Collection[str]) -> None:
    """`sites` are the names that there are."""
    for code in rule.codes:
        if not 400 <= code <= 599:
            raise ConfigError(f"codes must be {MEANT['codes']}; {code} is none")
    for each in rule.enhanced:
        if not _ENHANCED.match(each):
            raise ConfigError(f"enhanced must be {MEANT['enhanced']}; {each!r} is none")
        if int(each[0]) not in ({code // 100 for code in rule.codes} or {4}):
            raise ConfigError(
                f"no reply matches: {each} does not go with codes"
                f" {', '.join(map(str, rule.codes)) or '4xx, which is meant where none is given'}"
            )
    for site in rule.sites:
        if site not in sites:
            raise ConfigError(f"sites: there is no [site.{site}]{nearest(site, list(sites))}")
    _check_text(rule.text)
    _check_action(rule)


def _check_text(text: str) -> None:
    try:
        compiled(text)
    except ConfigError as error:
        raise ConfigError(f"text: {error}") from error


def _check_action(rule: RuleSettings) -> None:
    seconds = rule.suspend_seconds
    if not (0 <= seconds <= _LONGEST_SUSPENSION and math.isfinite(seconds)):
        raise ConfigError(f"suspend_seconds must be {MEANT['suspend_seconds']}; it is {seconds}")
    if rule.enabled and not (rule.codes or rule.enhanced or rule.text):
        raise ConfigError("it does not say for which replies: give codes, enhanced or text")
    if rule.enabled and not (seconds or rule.slow):
        raise ConfigError("it does nothing: give suspend_seconds, or slow = true")
