"""What a link opens: the first owner's page, an invitation's, and the one for a new password.

Looking at it changes nothing, because scanners follow links; only the form takes it. Its address is
a secret, so nobody is told it as a referrer: `strict-origin`, since with `no-referrer` browsers
send forms without their origin, which `forms` asks for.
"""

from __future__ import annotations

from flask import Response, make_response, render_template, request

from shared.accounts.joining import Form, Joining
from shared.accounts.links import Link
from shared.accounts.outcome import Codes, Refused, SignedIn, Wait, Weak, Wrong
from web.console import letter_texts
from web.console.desk import Desk, Visitor
from web.console.entrance import (
    codes_page,
    enter,
    host_of,
    refused,
    tell,
    wait_text,
)
from web.console.new_passwords import against, asked, shown
from web.console.pages import Pages

REFERRER = "strict-origin"
_REMEDIES = {
    "first": "A link for an owner can be made on the server:",
    "invitation": "Ask whoever has invited you for a new one.",
    "reset": "Ask for a new one where you sign in.",
}
_COMMANDS = {"first": "posthaste user create ADDRESS --role owner"}
_TITLES = {
    "first": ("The first owner", "Make the first account", "Welcome. You are the first owner."),
    "invitation": ("Your account", "Make my account", "Welcome. This is the console."),
    "reset": ("A new password", "Set the password", "Your password was changed."),
}
_TEXTS = {
    "first": "This account may do everything, and invites the others.",
    "invitation": "You are invited to the mail console at {host}, as {role}{by}.",
    "reset": "For {login}. All your sessions end, and a second factor is still asked for.",
}
_TAKEN = "Somebody has an account with this address already: sign in, or ask for a new password."
_NO_ADDRESS = "This is no e-mail address."
_WRONG_CODE = "This is not the code that the app shows now. Look at the clock of its device."


def register(pages: Pages, desk: Desk) -> None:
    """`/console/first/TOKEN`, `/console/invitation/TOKEN`, `/console/reset/TOKEN`."""
    views = _Views(desk)
    path = "/<any(first,invitation,reset):purpose>/<token>"
    pages.open_get(path, views.look)
    pages.open_post(path, views.accept)
    for purpose, (_, _, notice) in _TITLES.items():
        pages.notices[f"{purpose}-accepted"] = notice


class _Views:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._joining = Joining(desk.accounts)

    def look(self, visitor: Visitor | None, purpose: str, token: str) -> Response:
        """What the link is for, and the form."""
        del visitor
        link = self._find(purpose, token)
        return _unseen(self._gone(purpose) if link is None else self._page(token, link))

    def accept(self, visitor: Visitor | None, purpose: str, token: str) -> Response:
        """Take it."""
        link = self._find(purpose, token)
        if link is None:
            return _unseen(self._gone(purpose))
        names = ("password", "login", "name", "sealed", "code")
        form = Form(**{name: request.form.get(name, "") for name in names})
        outcome = self._joining.accept(token, form, self._desk.client())
        if isinstance(outcome, SignedIn | Codes):
            if visitor is not None:
                self._desk.sessions.end(visitor.token)
            return _unseen(self._in(link, outcome))
        return _unseen(self._again(token, link, outcome))

    def _find(self, purpose: str, token: str) -> Link | None:
        link = self._joining.look(token)
        return link if link is not None and link.purpose == purpose else None

    def _in(self, link: Link, outcome: SignedIn | Codes) -> Response:
        signed_in = outcome.signed_in if isinstance(outcome, Codes) else outcome
        if link.purpose == "reset":
            tell(self._desk, signed_in.user, letter_texts.password_changed)
        if isinstance(outcome, Codes):
            return codes_page(self._desk, outcome, "The authenticator app is set up.", "/console/")
        return enter(self._desk, signed_in, "/console/", f"{link.purpose}-accepted")

    def _again(self, token: str, link: Link, outcome: Weak | Wrong | Wait | Refused) -> Response:
        if isinstance(outcome, Wait):
            return refused(self._html(token, link, wrong=wait_text(outcome)), outcome)
        if isinstance(outcome, Weak):
            return refused(self._html(token, link, {"password": against(outcome)}))
        if isinstance(outcome, Wrong):
            return refused(self._html(token, link, {"code": _WRONG_CODE}))
        if outcome.why == "login":
            return refused(self._html(token, link, {"login": _NO_ADDRESS}))
        if outcome.why == "taken":
            return refused(self._html(token, link, wrong=_TAKEN))
        return self._gone(link.purpose)

    def _page(self, token: str, link: Link) -> Response:
        return make_response(self._html(token, link))

    def _html(
        self, token: str, link: Link, errors: dict[str, str] | None = None, wrong: str = ""
    ) -> str:
        title, button, _ = _TITLES[link.purpose]
        has_app = link.purpose == "reset" and self._joining.has_app(link)
        app = None
        if not has_app:
            app = shown(self._joining.new_app(token, link, request.form.get("sealed", "")))
        return render_template(
            "console/link.html",
            title=title,
            button=button,
            text=_TEXTS[link.purpose].format(
                by=f", by {link.by}" if "@" in link.by else "",
                host=host_of(self._desk),
                role=link.role,
                login=link.login,
            ),
            errors=errors or {},
            wrong=wrong,
            values={
                "login": request.form.get("login", ""),
                "name": request.form.get("name", link.name),
                "code": request.form.get("code", ""),
            },
            asks_login=link.purpose == "first",
            asks_name=link.purpose != "reset",
            login=link.login,
            factor=app,
            asked=asked(self._desk.console, two_factor=has_app, or_app=not has_app),
        )

    @staticmethod
    def _gone(purpose: str) -> Response:
        page = render_template(
            "console/link_gone.html", remedy=_REMEDIES[purpose], command=_COMMANDS.get(purpose)
        )
        return make_response(page, 404)


def _unseen(response: Response) -> Response:
    response.headers["Referrer-Policy"] = REFERRER
    return response
