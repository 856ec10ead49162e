"""Pictures of every page of the console and of the inbox, as somebody on call sees them.

    python -m tests.browser.pictures build/pictures            # all, in both themes and on a phone
    python -m tests.browser.pictures --readme deploy/pictures  # those that README shows

It starts an installation, fills it (`scene.py`) and goes through it by hand and eye: signs in,
makes mistakes, writes a message. A page that complains, or is wider than a phone, ends it with an
error.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pyotp
import redis
from playwright.sync_api import Browser, FilePayload, Page, ViewportSize, expect

from shared.accounts.actor import CLI
from shared.accounts.first import first_link, link_url
from shared.accounts.outcome import Refused
from shared.accounts.people import People
from shared.accounts.sessions import Level
from shared.accounts.user import User
from shared.clock import SystemClock
from tests.browser import scene
from tests.browser.palette import quantised
from tests.support.browser import PHONE, WIDE, Seat, System, launched, system
from tests.support.system import poll
from web.console import cookies

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36"
PASSWORD = "seven grey herons at dusk"
README = {
    "overview-light": "overview.png",
    "message-deferred-dark": "message.png",
    "compose-filled-light": "compose.png",
    "messages-light": "messages.png",
    "overview-phone": "phone.png",
}
"""Of which picture README shows what, by file; these are of one screen and no more."""


LOOKS: tuple[tuple[str, bool, ViewportSize], ...] = (
    ("phone", False, PHONE), ("phone-dark", True, PHONE), ("dark", True, WIDE),
    ("light", False, WIDE),
)  # fmt: skip
DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Resolves when what changed is on the screen."""
NOTE: FilePayload = {
    "name": "delivery-note-4711.pdf", "mimeType": "application/pdf",
    "buffer": b"%PDF-1.7" + bytes(48_000),
}  # fmt: skip


class Book:
    """Where pictures are put: `NAME-light.png`, `NAME-dark.png`, `NAME-phone.png`."""

    def __init__(self, directory: Path, *, readme: bool) -> None:
        self._directory = directory
        self._readme = readme
        self.taken = 0
        directory.mkdir(parents=True, exist_ok=True)

    def take(self, page: Page, name: str) -> None:
        """This page, as it is."""
        page.wait_for_load_state()
        for suffix, dark, size in LOOKS:
            wanted = f"{name}-{suffix}"
            if self._readme and wanted not in README:
                continue
            page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
            page.set_viewport_size(size)
            page.evaluate(DRAWN)
            self._keep(page, wanted)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(WIDE)

    def _keep(self, page: Page, wanted: str) -> None:
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wider > 0:
            raise SystemExit(f"{wanted}: {wider} px too wide")
        page.evaluate("scrollTo(0, 0)")
        picture = page.screenshot(full_page=not self._readme)
        if self._readme:
            (self._directory / README[wanted]).write_bytes(quantised(picture))
        else:
            (self._directory / f"{wanted}.png").write_bytes(picture)
        self.taken += 1


class Walk:
    """Goes through the console and takes pictures."""

    def __init__(self, world: System, browser: Browser, book: Book) -> None:
        self.world, self.book, self._browser = world, book, browser
        self.owner: User | None = None
        self.app: pyotp.TOTP | None = None

    @contextmanager
    def seat(self, user: User | None = None, **options: object) -> Iterator[Seat]:
        """A browser of its own, signed in."""
        context = self._browser.new_context(viewport=WIDE, **options)  # type: ignore[arg-type]
        context.set_default_timeout(15_000)
        place = Seat(context, self.world)
        place.expected = {403, 404, 409, 410, 422, 429, 503}
        if user is not None:
            self._session(place, user, "full")
        yield place
        place.check()
        context.close()

    def _session(self, place: Seat, user: User, level: Level) -> None:
        token, _ = self.world.sessions.begin(user.id, level, "192.0.2.14", AGENT)
        name = cookies.name_of(cookies.SESSION, secure=False)
        host = urlsplit(self.world.url).hostname or ""
        place.context.add_cookies([{"name": name, "value": token, "domain": host, "path": "/"}])

    def first_owner(self) -> None:
        """The first page that anybody sees, up to the recovery codes."""
        link = first_link(self.world.records, SystemClock(), self.world.settings.console)
        assert link is not None
        with self.seat() as place:
            page = place.page
            page.goto(link)
            self.book.take(page, "first-owner")
            page.get_by_label("E-mail address").fill("olive@shop.test")
            page.get_by_label("Name").fill("Olive Owner")
            page.get_by_label("Password", exact=True).fill("short")
            page.get_by_text("Set up an authenticator app at once").click()
            self.book.take(page, "first-owner-app")
            page.get_by_label("Password", exact=True).fill(PASSWORD)
            uri = page.get_by_role("link", name="Open it in an app").get_attribute("href")
            app = pyotp.parse_uri(uri or "")
            assert isinstance(app, pyotp.TOTP)
            self.app = app
            page.get_by_label("Code that the app shows now").fill(app.now())
            page.get_by_role("button", name="Make the first account").click()
            expect(page.locator("#recovery-codes li")).to_have_count(10)
            self.book.take(page, "recovery-codes")
        self.owner = self.world.users.find("olive@shop.test")

    def coming_in(self) -> None:
        """Signing in, with mistakes, and what else there is without a session."""
        with self.seat() as place:
            page = place.open("/sign-in")
            self.book.take(page, "sign-in")
            self._sign_in(page, "not this one")
            expect(page.get_by_role("alert")).to_contain_text("not right")
            self.book.take(page, "sign-in-wrong")
            self._sign_in(page, PASSWORD)
            self.book.take(page, "second-step")
            page.get_by_text("Use a recovery code").click()
            self.book.take(page, "second-step-recovery")
            place.open("/reset")
            self.book.take(page, "reset")
            page.get_by_label("E-mail address").fill("nobody@shop.test")
            page.get_by_role("button", name="Send me a link").click()
            self.book.take(page, "reset-asked")
            place.open("/invitation/no-such-link")
            self.book.take(page, "link-gone")
        invited = People(self.world.accounts).invite(
            CLI, "ines@shop.test", "Ines Invited", "reader"
        )
        assert not isinstance(invited, Refused)
        with self.seat() as place:
            place.page.goto(link_url(self.world.settings.console, "invitation", invited.token))
            self.book.take(place.page, "invitation")
        with self.seat() as place:
            self._session(place, scene.user(self.world, "Nora New", "reader", "nora"), "setup")
            self.book.take(place.open("/setup"), "setup")

    def _sign_in(self, page: Page, password: str) -> None:
        page.get_by_label("E-mail address").fill("olive@shop.test")
        page.get_by_label("Password", exact=True).fill(password)
        with page.expect_navigation():
            page.keyboard.press("Enter")

    def mail(self, place: Seat) -> None:
        """The overview, messages, and what may be done about one."""
        page = place.open("/confirm?next=/console/people")
        self.book.take(page, "confirm")
        place.open("/")
        expect(page.locator("canvas").first).to_be_visible()
        self.book.take(page, "overview")
        self.book.take(place.open("/messages"), "messages")
        page.get_by_role("link", name="Older").first.click()
        self.book.take(page, "messages-older")
        self.book.take(place.open("/messages?recipient=nobody%40nowhere.test"), "messages-none")
        self.book.take(place.open("/messages?recipient=no-address"), "messages-wrong")
        for name in ("delivered", "deferred", "bounced", "dead", "uncertain", "scheduled",
                     "suppressed", "cancelled", "expired"):  # fmt: skip
            place.open(f"/messages?status={name}")
            if name == "deferred":
                place.open("/messages?recipient=ann%40lake.example&status=deferred&subject=4711")
            if name == "bounced":
                place.open("/messages?recipient=gone%40harbour.example")
            page.locator(".messages tbody a[href*='/messages/msg_']").first.click()
            page.wait_for_url("**/messages/msg_*")
            self.book.take(page, f"message-{name}")
            if name in ("deferred", "dead", "scheduled"):
                self._one(page, name)

    def _one(self, page: Page, name: str) -> None:
        own = page.url.partition("?")[0]
        views = ("preview", "headers", "source") if name == "deferred" else ()
        for view in views:
            page.goto(f"{own}?view={view}")
            self.book.take(page, f"message-{view}")
        acts = {"deferred": ("cancel",), "scheduled": ("reschedule",), "dead": ("requeue", "drop")}
        for act in acts.get(name, ()):
            page.goto(f"{own}/{act}")
            self.book.take(page, f"message-{act}")

    def writing(self, place: Seat) -> None:
        """Compose: empty, wrong, full."""
        page = place.open("/compose")
        self.book.take(page, "compose")
        page.get_by_role("button", name="Send", exact=True).click()
        page.fill("#to", "bad@@x, ann@lake.example,")
        page.keyboard.press("Tab")
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.locator(".error-summary")).to_be_visible()
        self.book.take(page, "compose-wrong")
        page = place.open("/compose")
        page.fill("#from_name", "The Garden Shop")
        page.fill("#from_local", "orders")
        page.focus("#to")
        page.keyboard.type("ann@lake.example, finn@harbour.example, left@brook.example,")
        page.fill("#subject", "Your order 4711 arrives on Thursday")
        page.focus("#html-editor")
        page.keyboard.type("Hello Ann,")
        page.keyboard.press("Enter")
        page.keyboard.type("your two garden chairs are with the carrier and arrive on ")
        page.keyboard.press("Control+b")
        page.keyboard.type("Thursday, between 9 and 12")
        page.keyboard.press("Control+b")
        page.keyboard.type(". Nobody at home? Reply to this message and choose another day.")
        page.set_input_files("#files", [NOTE])
        expect(page.locator("#attached")).to_contain_text("Remove")
        page.locator("#preview").evaluate("each => { each.open = true; }")
        expect(page.locator("#preview")).to_contain_text("delivery-note-4711.pdf")
        page.evaluate("document.activeElement.blur()")
        self.book.take(page, "compose-filled")

    def operating(self, place: Seat) -> None:
        """Destinations, limits, and what is set aside."""
        page = place.open("/destinations")
        self.book.take(page, "destinations")
        for name in (scene.US, scene.LAKE):
            place.open(f"/destinations/{name}")
            self.book.take(page, f"destination-{name.rpartition(':')[2].partition('.')[0]}")
        for act in ("suspend", "resume", "flush", "move"):
            place.open(f"/destinations/{scene.US}/{act}")
            self.book.take(page, f"destination-{act}")
        place.open(f"/destinations/{scene.US}/move?to={scene.EU}")
        self.book.take(page, "destination-move-confirm")
        self.book.take(place.open(f"/limits/{scene.HARBOUR}"), "limit")
        self.book.take(place.open(f"/limits/{scene.HARBOUR}/clear"), "limit-clear")
        self.book.take(place.open("/aside"), "aside")
        page.get_by_role("link", name="Show messages").first.click()
        self.book.take(page, "aside-messages")
        self.book.take(place.open("/aside?kind=uncertain"), "aside-uncertain")
        page.get_by_role("button", name=re.compile("Queue again")).first.click()
        page.wait_for_url("**/aside/decisions/*")
        self.book.take(page, "decision")

    def keys(self, place: Seat) -> None:
        """Keys: these pages ask for the password first."""
        page = place.open("/keys")
        self.book.take(page, "keys")
        place.open("/keys/new")
        self._confirm(page)
        self.book.take(page, "key-new")
        page.fill("#application", "shop")
        page.get_by_role("button", name="Create the key").click()
        self._confirm(page)
        self.book.take(page, "key-created")
        place.open("/keys")
        page.get_by_role("link", name=re.compile("Revoke")).first.click()
        self.book.take(page, "key-revoke")

    def _confirm(self, page: Page) -> None:
        page.wait_for_load_state()
        if "/console/confirm" in page.url:
            self.book.take(page, "confirm")
            page.get_by_label("Password", exact=True).fill(PASSWORD)
            page.keyboard.press("Enter")
            page.wait_for_url(lambda url: "/console/confirm" not in url)

    def people(self, place: Seat, somebody: User) -> None:
        """People, their acts, the audit trail."""
        page = place.open("/people")
        self._confirm(page)
        self.book.take(page, "people")
        place.open(f"/people/{somebody.id}")
        self.book.take(page, "person")
        for act in ("disable", "end-sessions", "new-password", "unlock"):
            place.open(f"/people/{somebody.id}/{act}")
            self.book.take(page, f"person-{act}")
        self.book.take(place.open("/people/invite"), "invite")
        self.book.take(place.open("/audit"), "audit")
        self.book.take(place.open("/audit?act=nothing"), "audit-none")

    def account(self, place: Seat) -> None:
        """One's own account."""
        page = place.open("/account")
        self.book.take(page, "account")
        for path in ("password", "second-factor", "recovery-codes", "second-factor/remove"):
            place.open(f"/account/{path}")
            self._confirm(page)
            self.book.take(page, f"account-{path.replace('/', '-')}")

    def mistakes(self, place: Seat, reader: User) -> None:
        """Pages that are not there, or not for everybody; and a store that has gone."""
        self.book.take(place.open("/no/such/page"), "error-404")
        self.book.take(
            place.open("/messages/msg_01890000-0000-7000-8000-000000000000"), "message-unknown"
        )
        with self.seat(reader) as other:
            self.book.take(other.open("/"), "overview-reader")
            self.book.take(other.open("/audit"), "error-403")

    def gone(self, place: Seat) -> None:
        """While the store does not answer: the last of it, since nothing else works then."""
        client = redis.Redis.from_url(self.world.facts["redis"], socket_timeout=10)
        client.client_pause(6000, all=True)
        self.book.take(place.open("/messages"), "error-503")
        client.close()

    def inbox(self) -> None:
        """The inbox of the installation: a list, a message, and how all are deleted."""
        with self.seat() as place:
            page = place.page
            key = {"Authorization": f"Bearer {self.world.facts['key']}"}
            for subject in ("Receipt for payment 4460", "Your order 4711 is on its way"):
                message = {
                    "from": "The Garden Shop <orders@shop.test>", "to": "ann@lake.example",
                    "subject": subject, "text": "Hello.", "html": scene.CONTENT.html,
                }  # fmt: skip
                answer = place.context.request.post(
                    f"{self.world.facts['http']}/v1/messages", data=message, headers=key
                )
                assert answer.status == 202, answer.text()
            listed = f"{self.world.inbox}/api/messages"
            poll(lambda: len(place.context.request.get(listed).json()["messages"]) >= 2)
            page.goto(f"{self.world.inbox}/")
            self.book.take(page, "inbox")
            page.get_by_role("link", name="Your order 4711 is on its way").first.click()
            self.book.take(page, "inbox-message")
            page.goto(f"{self.world.inbox}/no-such-page")
            self.book.take(page, "inbox-404")

    def all(self) -> None:
        """From the first owner to the last page."""
        self.first_owner()
        owner = self.owner
        assert owner is not None
        users = scene.people(self.world, owner)
        self.coming_in()
        scene.fill(self.world, SystemClock().now_ms())
        with self.seat(owner) as place:
            for part in (self.mail, self.operating, self.keys, self.account, self.writing):
                part(place)
            self.people(place, users[0])
            self.mistakes(place, users[-1])
            self.inbox()
            self.gone(place)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--readme", action="store_true", help="those of README alone")
    asked = parser.parse_args()
    book = Book(asked.directory, readme=asked.readme)
    relays = (
        "".join(
            f'[[relay]]\nname = "{name}"\nurl = "smtp://127.0.0.1:9"\n'
            f'[[route]]\nname = "{name}"\nrelay = "{name}"\nrecipient_domains = ["{name}.test"]\n'
            for name in scene.RELAYS
        )
        + '[[route]]\nname = "world"\ndirect = true\nrecipient_domains = ["world.test"]\n'
    )
    with launched() as browser, system(relays) as world:
        Walk(world, browser, book).all()
    sys.stdout.write(f"{book.taken} pictures in {asked.directory}\n")


if __name__ == "__main__":
    main()
