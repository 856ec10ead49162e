"""The inbox's pages, and a small JSON API for tests.

Everything shown is hostile: pages are auto-escaped under a policy without inline script, the HTML
of a message stands alone in a frame that may do nothing, downloads are never rendered.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Blueprint, Flask, Response, abort, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from web.answers import answer
from web.console.show import STATIC, size, time
from web.inbox.mailbox import Captured, Mailbox
from web.inbox.reading import Letter, images, read
from web.preview.order import in_order
from web.preview.page import frame, preview

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
WAIT_SECONDS = 20.0
MAX_LISTED = 500
_WRONGS = {
    403: "This was sent by another page.",
    404: "There is no such page or message, or not any more.",
}
_WRONG = "This cannot be done."
_ADDRESS = re.compile(r"[^\s<>,;\"]+@[^\s<>,;\"]+")


def create_app(mailbox: Mailbox, console_url: str = "") -> Flask:
    """The Flask application. It looks like the console, and links to it where that has a URL."""
    app = Flask("posthaste-inbox", root_path=str(Path(__file__).parent))
    look = Blueprint("look", __name__, static_folder=str(STATIC), static_url_path="/look")
    app.register_blueprint(look)
    app.jinja_env.globals["console_url"] = console_url
    views = _Views(mailbox)
    for rule, view in (
        ("/", views.index),
        ("/fragment", views.fragment),
        ("/messages/<identifier>", views.detail),
        ("/messages/<identifier>/html", views.frame),
        ("/messages/<identifier>/source", views.source),
        ("/messages/<identifier>/parts/<int:index>", views.part),
        ("/api/messages", views.api_list),
        ("/api/messages/<identifier>", views.api_detail),
        ("/api/messages/<identifier>/source", views.source),
        ("/livez", views.livez),
    ):
        endpoint = rule.strip("/").replace("/", "_") or "index"
        app.add_url_rule(rule, endpoint, view)
    app.add_url_rule("/messages/<identifier>/delete", "delete", views.delete, methods=["POST"])
    app.add_url_rule("/clear", "clear", views.clear, methods=["POST"])
    app.before_request(_check_origin)
    app.after_request(_secure)
    app.register_error_handler(HTTPException, _wrong)
    app.add_template_filter(time, "time")
    app.add_template_filter(size, "size")
    return app


def _check_origin() -> None:
    """What changes something must come from our own pages (B25)."""
    if request.method in ("GET", "HEAD"):
        return
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    if site not in ("same-origin", "none") or (origin and urlsplit(origin).netloc != request.host):
        abort(403)


def _wrong(error: HTTPException) -> tuple[str, int] | HTTPException:
    """A page that says so; programs get what Flask says."""
    status = error.code or 500
    if request.path.startswith("/api/"):
        return error
    return render_template("error.html", status=status, text=_WRONGS.get(status, _WRONG)), status


def _secure(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


class _Views:
    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def _listed(self) -> dict[str, Any]:
        search = request.args.get("q", "")[:200]
        version = self._mailbox.version()
        found = self._mailbox.list(search)
        return {
            "messages": found[:MAX_LISTED],
            "total": len(found),
            "search": search,
            "version": version,
        }

    def _open(self, identifier: str) -> tuple[Captured, bytes]:
        found = self._mailbox.get(identifier)
        if found is None:
            abort(404)
        return found

    def index(self) -> str:
        return render_template("list.html", **self._listed())

    def fragment(self) -> AnyResponse | str:
        """The list's rows, as soon as they differ from what the page shows."""
        shown = request.args.get("version", type=int, default=-1)
        self._mailbox.wait(shown, WAIT_SECONDS)
        listed = self._listed()
        if listed["version"] == shown:
            return Response(status=204)
        return render_template("rows.html", **listed)

    def detail(self, identifier: str) -> str:
        entry, data = self._open(identifier)
        letter = read(data)
        tabs = ["html"] if letter.html is not None else []
        tabs += ["text"] if letter.text is not None else []
        tabs += ["headers", "source"]
        wanted = request.args.get("view", tabs[0])
        return render_template(
            "detail.html",
            entry=entry,
            letter=letter,
            tabs=tabs,
            view=wanted if wanted in tabs else tabs[0],
            links=in_order(letter.html or "")[1],
            hidden=_hidden(entry, letter),
            source=data[:1_000_000].decode("utf-8", "replace"),
        )

    def frame(self, identifier: str) -> Response:
        """The message's HTML, alone: no script, no network, no origin."""
        _, data = self._open(identifier)
        letter = read(data)
        return frame(preview(letter.html or "", images(letter)))

    def source(self, identifier: str) -> Response:
        entry, data = self._open(identifier)
        response = Response(data, content_type="message/rfc822")
        response.headers["Content-Disposition"] = f'attachment; filename="{entry.id}.eml"'
        return response

    def part(self, identifier: str, index: int) -> Response:
        """An attachment, to be saved and never shown."""
        _, data = self._open(identifier)
        parts = read(data).parts
        if index >= len(parts):
            abort(404)
        part = parts[index]
        response = Response(part.content, content_type="application/octet-stream")
        response.headers["Content-Disposition"] = (
            f"attachment; filename*=UTF-8''{quote(part.filename, safe='')}"
        )
        return response

    def delete(self, identifier: str) -> AnyResponse:
        if not self._mailbox.remove(identifier):
            abort(404)
        return redirect(url_for("index"), 303)

    def clear(self) -> AnyResponse:
        self._mailbox.clear()
        return redirect(url_for("index"), 303)

    def api_list(self) -> Response:
        found = self._mailbox.list(request.args.get("q", ""), request.args.get("to", ""))
        return answer({"messages": [_summary(entry) for entry in found]})

    def api_detail(self, identifier: str) -> Response:
        entry, data = self._open(identifier)
        letter = read(data)
        return answer(
            {
                **_summary(entry),
                "headers": letter.headers,
                "text": letter.text,
                "html": letter.html,
                "attachments": [
                    {
                        "filename": part.filename,
                        "content_type": part.content_type,
                        "content_id": part.content_id,
                        "size": len(part.content),
                    }
                    for part in letter.parts
                ],
            }
        )

    def livez(self) -> Response:
        return answer({"alive": True})


def _summary(entry: Captured) -> dict[str, Any]:
    return {
        "id": entry.id,
        "from": entry.sender,
        "to": list(entry.recipients),
        "subject": entry.subject,
        "received": time(entry.received_ms).replace(" ", "T") + "Z",
        "size": entry.size_bytes,
    }


def _hidden(entry: Captured, letter: Letter) -> set[str]:
    """Recipients of the envelope that no header names: blind copies."""
    named = {
        address.casefold()
        for name in ("to", "cc")
        for address in _ADDRESS.findall(letter.header(name))
    }
    return {each for each in entry.recipients if each.casefold() not in named}
