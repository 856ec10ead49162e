"""One click leaves one list: from the header in delivered mail, through the load balancer, to the
list's next message (RFC 8058)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPResponse
from urllib.parse import urlsplit

import msgspec
import pytest

from shared.dkim import to_pem
from shared.feedback.tokens import Tokens
from tests.support.dkim_keys import rsa_key, verifies
from tests.support.front import Front, front
from tests.support.smtp_server import Captured
from tests.support.system import QUICK, System, poll, running

KEY = "a key of thirty-two characters or more"
READER = "Reader+weekly@example.test"
SETTINGS = f"""{QUICK}
[feedback]
key = "{KEY}"
[unsubscribe]
url = "https://mail.shop.test"
"""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CLICK = b"List-Unsubscribe=One-Click"


class Place:
    """An installation behind nginx."""

    def __init__(self, system: System, balancer: Front) -> None:
        self.system = system
        self.front = balancer

    def send(self, name: str, expected: str = "queued", **fields: str) -> str:
        """Send a message to a list, and wait for its end; its id."""
        given = {"class": "bulk", "to": READER, **({"list": name} if name else {}), **fields}
        identifier = self.system.send(**given)
        final = "delivered" if expected == "queued" else expected
        self.system.wait_status(identifier, final)
        return identifier

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, str, HTTPResponse]:
        """One request without key or cookie, as mail programs send it."""
        with closing(self.front.connect()) as connection:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer

    def arrived(self) -> list[Captured]:
        """What the reader has got."""
        return [each for each in self.system.server.answered() if READER in each.recipients]

    def events(self, name: str) -> list[str]:
        """What is known of a list, and of no message in particular."""
        spool = self.system.spool()
        try:
            events = [each for each in spool.events(limit=10_000) if len(each.leg) < 16]
        finally:
            spool.close()
        told = [(each.kind, msgspec.msgpack.decode(each.payload)) for each in events]
        return sorted(kind for kind, entry in told if entry["list"] == name)

    def unsubscribed(self) -> int:
        """How many have been, by the figures of the application."""
        status, body, _ = self.system.ask("GET", "/v1/stats?days=2")
        assert status == 200
        return sum(each["unsubscribed"] for each in body["data"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Shared by the tests of this module, each of which has lists of its own."""
    folder = tmp_path_factory.mktemp("keys")
    key = folder / "s1.pem"
    key.write_bytes(to_pem(rsa_key().private))
    dkim = f'[[dkim]]\ndomain = "shop.test"\nselector = "s1"\nkey_file = "{key}"\n'
    with running(settings=SETTINGS + dkim) as system:
        port = urlsplit(system.http).port
        with front(f"127.0.0.1:{port}") as balancer:
            yield Place(system, balancer)


def link_of(mail: Captured) -> str:
    """The path of a copy's link."""
    found = re.fullmatch(
        r"<(https://mail\.shop\.test(/u/[A-Za-z0-9_-]+))>", mail.header("List-Unsubscribe")
    )
    assert found is not None, mail.header("List-Unsubscribe")
    assert mail.header("List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
    return found[2]


def test_one_click_leaves_one_list(place: Place) -> None:
    first = place.send("weekly")
    (mail,) = place.arrived()
    before = place.unsubscribed()
    path = link_of(mail)

    status, page, answer = place.ask("GET", path)
    assert (status, "weekly" in page) == (200, True)
    assert place.ask("HEAD", path)[0] == 200
    assert answer.getheader("Set-Cookie") is None
    place.send("weekly")  # Neither changed anything.

    status, page, answer = place.ask("POST", path, CLICK, FORM)
    assert (status, "You are unsubscribed" in page) == (200, True)
    assert place.ask("POST", path, CLICK, FORM)[0] == 200
    assert place.unsubscribed() == before + 1
    last = place.send("weekly", "suppressed")
    place.send("weekly", "suppressed", to=READER.lower())
    assert len(place.arrived()) == 2

    for name, kind in (("offers", "bulk"), ("", "bulk"), ("", "transactional"), ("", "critical")):
        place.send(name, **{"class": kind})
    place.send("weekly", to="another@example.test")
    assert len(place.arrived()) == 6
    assert place.system.ledger(first) == ["accepted", "attempt"]
    assert place.system.ledger(last) == ["accepted"]
    assert place.events("weekly") == ["suppressed", "unsubscribed"]
    place.system.reconcile()


def test_who_comes_back_can_leave_again(place: Place) -> None:
    token = Tokens([KEY.encode()]).unsubscribe("default", "back", READER)
    key = {"Authorization": f"Bearer {place.system.key}"}
    for _ in range(2):
        assert place.ask("POST", f"/u/{token}", CLICK, FORM)[0] == 200
        place.send("back", "suppressed")
        assert place.ask("DELETE", f"/v1/suppressions/{READER}?list=back", None, key)[0] == 204
        place.send("back")
    told = ("suppressed", "unsubscribed", "unsuppressed")
    assert place.events("back") == sorted(told * 2)


def test_both_headers_are_signed(place: Place) -> None:
    place.send("signed", to="signed@example.test")
    mail = next(
        each for each in place.system.server.answered() if "signed@example.test" in each.recipients
    )
    assert verifies(mail.data, rsa_key()) == [True]
    for name in (b"List-Unsubscribe: ", b"List-Unsubscribe-Post: "):
        changed = mail.data.replace(b"\r\n" + name, b"\r\n" + name + b"x", 1)
        assert changed != mail.data
        assert verifies(changed, rsa_key()) == [False]


def test_links_of_others_do_nothing_here(place: Place) -> None:
    place.send("ours", to="ours@example.test")
    mail = next(
        each for each in place.system.server.answered() if "ours@example.test" in each.recipients
    )
    path = link_of(mail)
    elsewhere = "/u/" + Tokens([KEY.encode()]).unsubscribe("other", "ours", "ours@example.test")
    assert place.ask("POST", elsewhere, CLICK, FORM)[0] == 200  # Another application's list.
    letter = "A" if path[20] != "A" else "B"
    answers = {
        place.ask(method, wrong, body, FORM)[:2]
        for wrong in (path[:20] + letter + path[21:], path[:-2], "/u/x", f"{path}/")
        for method, body in (("GET", None), ("POST", CLICK))
    }
    assert len(answers) == 1
    assert answers.pop()[0] == 404
    assert place.ask("POST", path, b"", FORM)[0] == 400
    assert place.ask("POST", path, CLICK + b"&a=" + b"x" * 1024, FORM)[0] == 413
    assert place.ask("DELETE", path)[0] == 405
    place.send("ours", to="ours@example.test")


def test_no_log_has_a_link(place: Place) -> None:
    token = Tokens([KEY.encode()]).unsubscribe("default", "logged", READER)
    asked = (
        f"/u/{token}",
        f"//u/{token}",
        f"/u/{token}?a=b",
        f"/%75/{token}",
        f"/U/{token}",
        f"/x/../u/{token}",
    )
    for path in asked:
        place.ask("GET", path, None, {"X-Request-Id": "looked"})
        place.ask("POST", path, CLICK, {**FORM, "X-Request-Id": "clicked"})
    with closing(place.front.connect()) as connection:
        connection.request(
            "GET", f"https://localhost/u/{token}", headers={"X-Request-Id": "looked"}
        )
        connection.getresponse().read()
    place.front.plain(f"/u/{token}", place.front.http_port)
    poll(lambda: place.front.access_log().count('"clicked"') == len(asked))
    poll(lambda: place.front.access_log().count('"looked"') == len(asked) + 1)
    logs = [path.read_text() for path in (place.system.home / "log").glob("*.log")]
    said = "".join((place.front.access_log(), place.front.error_log(), *logs))
    assert '"path":"/u/"' in said
    assert "/u/<path:token>" in said
    assert token[:12] not in said
    assert token[-12:] not in said
    assert "example.test" not in said
