"""The real mail hosts of a small internet: a Postfix and an Exim, each with several addresses.

    domain          MX host              who
    postfix.test    mx.postfix.test      Postfix, certificate by the tests' authority
    exim.test       mx.exim.test         Exim, the same
    both.test       a.both.test, b.both.test   Postfix and Exim, of equal preference
    self.test       mx.self.test         Postfix, certificate by an authority nobody knows
    old.test        mx.old.test          Postfix without extensions and TLS
    few.test        mx.few.test          Postfix that takes two recipients a message (452 4.5.3)
    busy.test       mx.busy.test         Postfix that takes one connection a client (421 4.7.0)

`postfix.secure.test` and `postfix.sts.test` have the same host as `postfix.test`, and so on: tests
have a route and an MTA-STS policy for these. `nobody` is unknown everywhere; Exim greylists `grey`.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from shared.supervisor.ports import reserve
from tests.support.certificates import Authority
from tests.support.dns_server import txt
from tests.support.exim import Exim, exim
from tests.support.postfix import Postfix, postfix

HOSTS = {
    "postfix.test": {"mx.postfix.test": "127.0.0.2"},
    "exim.test": {"mx.exim.test": "127.0.0.3"},
    "both.test": {"a.both.test": "127.0.0.4", "b.both.test": "127.0.0.5"},
    "self.test": {"mx.self.test": "127.0.0.6"},
    "old.test": {"mx.old.test": "127.0.0.7"},
    "few.test": {"mx.few.test": "127.0.0.8"},
    "busy.test": {"mx.busy.test": "127.0.0.9"},
}
_KINDS = (".test", ".secure.test", ".sts.test")
DOMAINS = tuple(domain.replace(".test", kind) for domain in HOSTS for kind in _KINDS)
STS_DOMAINS = tuple(each for each in DOMAINS if each.endswith(".sts.test"))

TWO_RECIPIENTS = {"smtpd_recipient_limit": "2"}
"""Postfix answers each further RCPT with `452 4.5.3 Error: too many recipients`."""
ONE_CONNECTION = {
    "smtpd_client_connection_count_limit": "1",
    "smtpd_client_event_limit_exceptions": "",
}
"""Postfix answers each further connection of a client with `421 4.7.0`."""
OLD = {
    "smtpd_discard_ehlo_keywords": "pipelining, size, vrfy, etrn, enhancedstatuscodes, 8bitmime, "
    "dsn, smtputf8, chunking",
    "smtpd_tls_security_level": "none",
}
"""Postfix announces nothing."""
_SETTINGS = {
    "myhostname": "mx.postfix.test",
    "virtual_mailbox_domains": ", ".join(DOMAINS),
    "virtual_mailbox_maps": "regexp:{{ {{ !/^nobody@/ all/ }} }}",
    "smtpd_tls_security_level": "may",
    "smtpd_relay_restrictions": "reject_unauth_destination",
    "smtpd_client_event_limit_exceptions": "127.0.0.0/8",
}


class RealMx:
    """What a test needs to know of them."""

    def __init__(self, authority: Authority, postfix: Postfix, exim: Exim) -> None:
        self.authority = authority
        self.postfix = postfix
        self.exim = exim
        self.port = postfix.port

    def arrived(self, message_id: str, count: int = 1, seconds: float = 20) -> list[bytes]:
        """The copies of a message, in CRLF lines; waits until there are so many."""
        deadline = time.monotonic() + seconds
        wanted = f"\nMessage-ID: {message_id}\n".encode()
        while True:
            files = [*self.postfix.inbox.glob("*"), *self.exim.inbox.glob("*")]
            found = [text for text in (each.read_bytes() for each in files) if wanted in text]
            if len(found) >= count:
                return [text.replace(b"\n", b"\r\n") for text in found]
            assert time.monotonic() < deadline, self.postfix.log()[-3000:] + self.exim.log()
            time.sleep(0.02)


def records() -> dict[tuple[str, str], list[str]]:
    """The DNS of all that."""
    found: dict[tuple[str, str], list[str]] = {}
    for domain, hosts in HOSTS.items():
        for kind in _KINDS:
            found[domain.replace(".test", kind), "MX"] = [f"10 {host}." for host in hosts]
        for host, address in hosts.items():
            found[host, "A"] = [address]
    for domain in STS_DOMAINS:
        found[f"_mta-sts.{domain}", "TXT"] = [txt("v=STSv1; id=1;")]
        found[f"mta-sts.{domain}", "A"] = ["127.0.0.1"]
    return found


def _listeners(authority: Authority, unknown: Authority) -> Mapping[str, Mapping[str, str]]:
    """Postfix's."""
    found = {}
    for host, signer, options in (
        ("mx.postfix.test", authority, {}),
        ("a.both.test", authority, {}),
        ("mx.self.test", unknown, {}),
        ("mx.old.test", authority, OLD),
        ("mx.few.test", authority, TWO_RECIPIENTS),
        ("mx.busy.test", authority, ONE_CONNECTION),
    ):
        chain, key = signer.files(host)
        address = _address(host)
        own = {"smtpd_tls_cert_file": chain, "smtpd_tls_key_file": key}
        found[address] = {**own, **options}
    return found


def _address(host: str) -> str:
    return next(hosts[host] for hosts in HOSTS.values() if host in hosts)


@contextmanager
def real_mx() -> Iterator[RealMx]:
    """Start both; skips the test where they cannot be, which in CI is a failure."""
    home = Path(tempfile.mkdtemp(prefix="ph-real-mx-"))
    reserved = reserve("127.0.0.1")
    try:
        (home / "unknown").mkdir()
        authority, unknown = Authority(home), Authority(home / "unknown")
        certificates = {
            _address(host): authority.files(host) for host in ("mx.exim.test", "b.both.test")
        }
        with (
            exim(certificates, DOMAINS, reserved.port) as second,
            postfix(
                _SETTINGS,
                _listeners(authority, unknown),
                authority=authority,
                port=reserved.port,
            ) as first,
        ):
            yield RealMx(authority, first, second)
    finally:
        reserved.release()
        shutil.rmtree(home, ignore_errors=True)
