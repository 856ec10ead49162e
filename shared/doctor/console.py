"""The console: its key, its mail, whether browsers reach it, and who has what may do everything.

Looks at accounts only as far as counts go; nobody is named, and nobody is signed in.
"""

from __future__ import annotations

import asyncio
import http.client
import ssl
from collections.abc import Iterator, Sequence
from email.utils import parseaddr
from urllib.parse import urlsplit

import msgspec

from shared.accounts.owners import stands
from shared.accounts.sealing import Sealer
from shared.accounts.user import User
from shared.accounts.users import Users
from shared.addresses import ascii_domain
from shared.api_keys import OWN_APPLICATION
from shared.dkim import domains_from, nearest
from shared.doctor.asking import Answer, ask_web, reason
from shared.doctor.feedback import fingerprint
from shared.doctor.finding import Finding, ok
from shared.doctor.patient import Patient
from shared.errors import ConfigError, PosthasteError
from shared.hosts import network
from shared.secret_files import console_keys_of
from shared.settings import Settings
from shared.store.keys import ApiKey
from shared.store.redis_keys import RedisKeys
from shared.store.redis_records import RedisRecords

SIGN_IN = "/console/sign-in"


class Kept(msgspec.Struct, frozen=True):
    """What the store has of it."""

    users: Sequence[User]
    unreadable: int
    keys: Sequence[ApiKey]


async def check_console(patient: Patient) -> list[Finding]:
    """All of it; nothing where there is no console. Offline its URL is not asked."""
    settings = patient.settings
    if not settings.console.url:
        return []
    findings = [*_keys(settings), *_mail(settings), *_proxies(settings)]
    if not patient.options.offline:
        findings.append(await _reached(patient))
    try:
        kept = await asyncio.to_thread(_read, settings)
    except PosthasteError as error:
        found = f"nobody knows who may use it: {error}"
        return [*findings, Finding("console.users", "warning", found, "see store.reachable")]
    return [*findings, *_owners(settings, kept.users), *_whole(settings, kept)]


def _read(settings: Settings) -> Kept:
    records, keys = RedisRecords(settings), RedisKeys(settings)
    try:
        users, unreadable = Users(records).read()
        return Kept(users, unreadable, keys.all())
    finally:
        records.close()
        keys.close()


def _keys(settings: Settings) -> Iterator[Finding]:
    try:
        key, *before = map(fingerprint, console_keys_of(settings.console))
    except ConfigError as error:
        yield Finding(
            "console.key", "error", str(error),
            "correct it: without it web does not start",
        )  # fmt: skip
        return
    told = " and before it ".join((key, *before))
    yield ok("console.key", f"the key's fingerprint is {told}: it must be so on every machine")


def _mail(settings: Settings) -> Iterator[Finding]:
    """Whether its own mail can be sent, and is signed."""
    sender = settings.console.mail_from
    if not sender:
        yield Finding(
            "console.mail_from", "info",
            "console.mail_from is empty: invitations and new passwords are links to be handed over,"
            " and nobody is told of changes of the own account",
            'console.mail_from = "Posthaste <posthaste@DOMAIN>", of a domain that you sign for',
        )  # fmt: skip
        return
    domain = ascii_domain(parseaddr(sender)[1].rpartition("@")[2])
    if not domain:
        yield Finding(
            "console.mail_from", "error", "console.mail_from is no address: none of its mail goes",
            "write it as `Posthaste <posthaste@example.com>`",
        )  # fmt: skip
        return
    try:
        signed = nearest(domains_from(settings.dkim), domain)
    except ConfigError:
        return  # The check `settings` tells it.
    if not signed:
        refused = settings.require_dkim
        what = "is refused (require_dkim)" if refused else "goes out unsigned"
        yield Finding(
            "console.mail_from", "error" if refused else "info",
            f"there is no DKIM key for {domain}: the console's own mail {what}",
            f"`posthaste dkim generate {domain}`, or a console.mail_from of a domain with a key",
        )  # fmt: skip
    else:
        yield ok("console.mail_from", f"its own mail is signed for {signed}")


def _proxies(settings: Settings) -> Iterator[Finding]:
    """By https browsers come through something that ends TLS, since web does not."""
    console = settings.console
    if any(network(each).prefixlen == 0 for each in console.trusted_proxies):
        yield Finding(
            "console.trusted_proxies", "error",
            "console.trusted_proxies are all addresses: whoever tries passwords can say that he"
            " comes from anywhere",
            "name those of the load balancer only",
        )  # fmt: skip
    elif urlsplit(console.url).scheme == "https" and not console.trusted_proxies:
        yield Finding(
            "console.trusted_proxies", "warning",
            "console.trusted_proxies is empty: everybody seems to come from the load balancer, in"
            " the audit trail, and when failed tries are counted",
            "name its addresses or networks",
        )  # fmt: skip


async def _reached(patient: Patient) -> Finding:
    url = patient.settings.console.url
    try:
        answer = await asyncio.to_thread(ask_web, url + SIGN_IN, patient.options.seconds / 2)
    except ssl.SSLCertVerificationError as error:
        return Finding(
            "console.url", "error", f"the certificate of {url}: {error.verify_message}",
            "give it one that browsers trust, for this name",
        )  # fmt: skip
    except (OSError, http.client.HTTPException) as error:
        return Finding(
            "console.url", "warning", f"{url} does not answer here: {reason(error)}",
            "try it from another network; else lead this name and port to nginx or web, and"
            " pass /console on",
        )  # fmt: skip
    return _judged(url, answer)


def _judged(url: str, answer: Answer) -> Finding:
    if 300 <= answer.status < 400:
        where = answer.header("Location")[:100]
        return Finding(
            "console.url", "error", f"{url}{SIGN_IN} sends on to {where}",
            "name in console.url where browsers end up: forms from elsewhere are refused",
        )  # fmt: skip
    if answer.status == 200 and "posthaste-form=" in answer.header("Set-Cookie"):
        return ok("console.url", f"{url} leads to the console")
    return Finding(
        "console.url", "warning",
        f"{url}{SIGN_IN} answers {answer.status}, and not with our page",
        "lead this name to nginx or web, and pass /console on as it is",
    )  # fmt: skip


def _owners(settings: Settings, users: Sequence[User]) -> Iterator[Finding]:
    owners = [each for each in users if stands(each)]
    if not owners:
        yield Finding(
            "console.owner", "warning", "there is no owner who can sign in",
            "`posthaste user create you@example.com --role owner` prints a link",
        )  # fmt: skip
        return
    bare = sum(each.second_factor == "none" for each in owners)
    if bare:
        yield Finding(
            "console.owner", "warning",
            f"{bare} of {len(owners)} who may do everything sign in with a password alone",
            "an app at /console/account; console.require_two_factor = true asks it of everybody",
        )  # fmt: skip
    else:
        yield ok("console.owner", f"owners with a second factor: {len(owners)}")


def _whole(settings: Settings, kept: Kept) -> Iterator[Finding]:
    """What the store has, and nobody can use, or should."""
    if kept.unreadable:
        yield Finding(
            "console.users", "error", f"{kept.unreadable} users cannot be read",
            "they are of a newer release, or damaged: see `user_unreadable` in web's log",
        )  # fmt: skip
    sealed = [each for each in kept.users if each.totp_seed]
    closed = _closed(settings, sealed)
    if closed:
        yield Finding(
            "console.second_factors", "error",
            f"the key does not open {closed} of {len(sealed)} second factors",
            "their codes count as wrong. Name the key before in console.previous_key_file; if it is"
            " lost, `posthaste user link LOGIN --without-second-factor` for each of them",
        )  # fmt: skip
    ours = [
        each.id for each in kept.keys
        if each.application.casefold() == OWN_APPLICATION and each.revoked_ms is None
    ]  # fmt: skip
    if ours:
        yield Finding(
            "console.api_keys", "warning",
            f"API keys for the application {OWN_APPLICATION}, which is the console's own mail:"
            f" {', '.join(sorted(ours)[:5])}",
            "make others with `posthaste key create --app NAME`, and `posthaste key revoke ID`",
        )  # fmt: skip


def _closed(settings: Settings, sealed: Sequence[User]) -> int:
    """How many seeds the key does not open; 0 where it cannot be read, which is told already."""
    try:
        sealer = Sealer(console_keys_of(settings.console))
    except ConfigError:
        return 0
    return sum(sealer.open(each.id, each.totp_seed) is None for each in sealed)
