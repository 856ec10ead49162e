"""What `posthaste doctor` finds about what comes back: key, MX, SPF, DMARC, unsubscribe links."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from shared.feedback_settings import BounceSettings, FeedbackSettings, UnsubscribeSettings
from shared.outgoing_settings import DkimSettings
from shared.settings import Settings
from tests.scenario.test_doctor import SOURCE, examined, severities
from tests.support.api import Api
from tests.support.certificates import Authority
from tests.support.dns_server import DnsServer, txt
from tests.support.smtp_server import SmtpServer

DOMAIN = "bounces.shop.test"
KEY, OTHER = "k" * 32, "o" * 32


def settings(**bounces: Any) -> Settings:
    """Return paths of our own, and mail from @shop.test."""
    return Settings(
        feedback=FeedbackSettings(key=KEY),
        bounces=BounceSettings(**{"domains": (DOMAIN,), **bounces}),
        dkim=(DkimSettings("shop.test", "s1", ""),),
    )


def test_the_key_is_told_by_its_fingerprint_and_never_itself(tmp_path: Path) -> None:
    def told(feedback: FeedbackSettings) -> str:
        changed = msgspec.structs.replace(settings(), feedback=feedback)
        found = examined(changed, "feedback", offline=True)
        assert severities(found) == {"feedback.key": "ok"}
        assert KEY not in str(found)
        return found["feedback.key"].found

    path, before = tmp_path / "key", tmp_path / "before"
    path.write_text(KEY + "\n")
    before.write_text(OTHER)
    first = told(FeedbackSettings(key=KEY))
    assert first == told(FeedbackSettings(key_file=str(path)))
    assert first != told(FeedbackSettings(key=OTHER))
    both = told(FeedbackSettings(key_file=str(path), previous_key_file=str(before)))
    assert first.split()[4].rstrip(":") in both
    assert both != first


def test_a_key_that_is_not_there_or_too_short(tmp_path: Path) -> None:
    away = FeedbackSettings(key_file=str(tmp_path / "nothing"))
    for feedback in (away, FeedbackSettings(key="short")):
        changed = msgspec.structs.replace(settings(), feedback=feedback)
        found = examined(changed, "feedback", offline=True)
        assert severities(found) == {"feedback.key": "error"}
    assert severities(examined(Settings(), "feedback")) == {"feedback.key": "info"}
    alone = Settings(feedback=FeedbackSettings(key=KEY))
    found = examined(alone, "feedback")
    assert severities(found) == {"feedback.key": "ok", "feedback.domains": "info"}


def test_a_return_path_s_domain_leads_to_a_server() -> None:
    records = {
        (DOMAIN, "MX"): ["10 localhost."],
        ("localhost", "A"): ["127.0.0.1"],
        ("_dmarc.shop.test", "TXT"): [txt("v=DMARC1; p=none")],
    }
    with SmtpServer() as smtp, DnsServer(records) as server:

        def look(port: int = smtp.port) -> dict[str, str]:
            found = examined(settings(), "feedback", resolver=server.address, smtp_port=port)
            return {
                name.removeprefix("feedback."): each for name, each in severities(found).items()
            }

        well = {"key": "ok", f"mx.{DOMAIN}": "ok", f"smtp.{DOMAIN}": "ok", "dmarc.shop.test": "ok"}
        assert look() == well
        assert not smtp.messages
        assert look(port=1) == {**well, f"smtp.{DOMAIN}": "warning"}
        del server.records["localhost", "A"]
        del well[f"smtp.{DOMAIN}"]
        assert look() == {**well, f"mx.{DOMAIN}": "error"}
        del server.records[DOMAIN, "MX"]
        assert look() == {**well, f"mx.{DOMAIN}": "error"}
        server.failing["*"] = "SERVFAIL"
        assert look() == {**well, f"mx.{DOMAIN}": "warning", "dmarc.shop.test": "warning"}


@pytest.mark.parametrize(
    ("domain", "record", "severity"),
    [
        (DOMAIN, "v=DMARC1; p=reject", "ok"),
        ("shop.test", "v=DMARC1; p=reject; aspf=s", "ok"),
        (DOMAIN, "v=DMARC1; p=reject; aspf=s", "info"),
        ("bounces.elsewhere.test", "v=DMARC1; p=none", "info"),
        (DOMAIN, "v=spf1 -all", "warning"),
    ],
)
def test_dmarc_has_spf_of_a_return_path_below_the_same_domain(
    domain: str, record: str, severity: str
) -> None:
    with DnsServer({("_dmarc.shop.test", "TXT"): [txt(record)]}) as server:
        changed = settings(domains=(domain,))
        found = examined(changed, "feedback", resolver=server.address)
        assert found["feedback.dmarc.shop.test"].severity == severity


def test_spf_of_a_return_path_s_domain_is_looked_at() -> None:
    records = {(DOMAIN, "TXT"): [txt(f"v=spf1 ip4:{SOURCE} -all")]}
    with DnsServer(records) as server:
        found = examined(settings(), "spf", resolver=server.address, sources=(SOURCE,))
        assert found[f"spf.{DOMAIN}.{SOURCE}"].severity == "ok"
        server.records.clear()
        found = examined(settings(), "spf", resolver=server.address, sources=(SOURCE,))
        assert found[f"spf.{DOMAIN}.{SOURCE}"].severity == "warning"


def test_keys_of_what_comes_back_are_private(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("key", "before", "certificate")]
    for path in paths:
        path.write_text(KEY)
        path.chmod(0o644)
    key, before, certificate = map(str, paths)
    changed = Settings(
        feedback=FeedbackSettings(key_file=key, previous_key_file=before),
        bounces=BounceSettings(certificate_file=certificate),
    )
    assert severities(examined(changed, "files")) == {
        "files.feedback.key_file": "error", "files.feedback.previous_key_file": "error",
        "files.bounces.certificate_file": "error",
    }  # fmt: skip


@contextmanager
def served(app: Callable[..., Any], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A web server on loopback; its port."""
    server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def link(url: str) -> tuple[str, str]:
    """What is found of a URL of links, and how bad it is."""
    changed = Settings(unsubscribe=UnsubscribeSettings(url))
    found = examined(changed, "links", seconds=4.0)["links.url"]
    return found.severity, found.found


def test_links_lead_to_web() -> None:
    api = Api()
    with served(api.app) as port:
        assert link(f"http://127.0.0.1:{port}")[0] == "ok"
        severity, text = link(f"http://127.0.0.1:{port}/elsewhere")  # web has no such path.
        assert (severity, "404" in text) == ("warning", True)
    api.close()
    assert link(f"http://127.0.0.1:{port}")[0] == "warning"
    assert examined(Settings(), "links") == {}


def test_links_that_send_on_or_lead_to_somebody_else() -> None:
    @Request.application
    def app(request: Request) -> Response:
        moved = request.path.startswith("/moved/")
        return Response("hello", 301 if moved else 200, {"Location": "/u/"} if moved else {})

    with served(app) as port:
        severity, text = link(f"http://127.0.0.1:{port}/moved")
        assert (severity, "sends on to /u/" in text) == ("error", True)
        assert link(f"http://127.0.0.1:{port}")[0] == "warning"


def test_links_need_a_certificate_that_everybody_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, api = Authority(tmp_path), Api()
    with served(api.app, authority.server("localhost")) as port:
        severity, text = link(f"https://localhost:{port}")
        assert (severity, "certificate" in text) == ("error", True)
        monkeypatch.setenv("SSL_CERT_FILE", authority.ca_file)
        assert link(f"https://localhost:{port}")[0] == "ok"
        assert link(f"https://127.0.0.1:{port}")[0] == "error"
    api.close()
