"""What is served without a key: health, unsubscribe links, and this description."""

from __future__ import annotations

from web.openapi.operation import Answer, Body, Group, Operation, path
from web.openapi.schema import Schema, answer, flag, many, request, text

_HTML = "text/html"
_TOKEN = path("token", text("From the link in the mail, as it is; it may hold slashes."))
_PAGE = text("A page for people.")
_ETAG = {"ETag": text("Of these bytes: `If-None-Match` with it is answered 304.")}
_READY = answer(
    {
        "ready": flag("Whether mail is accepted."),
        "reasons": many(text(), "Why not; fixed words."),
    }
)


def _page(description: str) -> Answer:
    return Answer(description, _PAGE, media_type=_HTML)


_LINK_ANSWERS = {
    404: _page("The link is not valid."),
    503: _page("The store is away: try again."),
}
_CLICK: Schema = request(
    {"List-Unsubscribe": text(const="One-Click")}, required=("List-Unsubscribe",)
)

GROUP = Group(
    "Without a key",
    "For load balancers, mail programs, and whoever reads this.",
    (
        Operation(
            method="GET",
            path="/livez",
            name="getLiveness",
            summary="Whether this process lives",
            scopes=None,
            answers={200: Answer("It does.", answer({"alive": flag()}), {"alive": True})},
            problems=("internal_error",),
        ),
        Operation(
            method="GET",
            path="/readyz",
            name="getReadiness",
            summary="Whether mail is accepted",
            scopes=None,
            answers={
                200: Answer("It is.", _READY, {"ready": True, "reasons": []}),
                503: Answer("It is not.", _READY, {"ready": False, "reasons": ["stopping"]}),
            },
            problems=("internal_error",),
        ),
        Operation(
            method="GET",
            path="/u/{token}",
            name="showUnsubscribe",
            summary="The page behind an unsubscribe link",
            description="Changes nothing, because scanners follow links.",
            scopes=None,
            parameters=(_TOKEN,),
            answers={200: _page("It asks."), 404: _LINK_ANSWERS[404]},
            problems=("internal_error",),
        ),
        Operation(
            method="POST",
            path="/u/{token}",
            name="unsubscribe",
            summary="One-click unsubscribe",
            description="What mail programs send (RFC 8058). May come twice.",
            scopes=None,
            parameters=(_TOKEN,),
            body=Body(
                _CLICK,
                {"One click": {"List-Unsubscribe": "One-Click"}},
                "application/x-www-form-urlencoded",
            ),
            answers={
                200: _page("The address gets no more mail of the list."),
                400: _page("The body is something else."),
                **_LINK_ANSWERS,
            },
            problems=("bad_chunks", "too_large", "internal_error"),
        ),
        Operation(
            method="GET",
            path="/openapi.json",
            name="getDescription",
            summary="This description, for programs",
            description="OpenAPI 3.1.",
            scopes=None,
            answers={
                200: Answer("The document.", {"type": "object"}, headers=_ETAG),
                304: Answer("It is the one that you have.", headers=_ETAG),
            },
            problems=("internal_error",),
        ),
        Operation(
            method="GET",
            path="/docs",
            name="getDocumentation",
            summary="This description, for people",
            scopes=None,
            answers={
                200: Answer("The page.", _PAGE, media_type=_HTML, headers=_ETAG),
                304: Answer("It is the one that you have.", headers=_ETAG),
            },
            problems=("internal_error",),
        ),
    ),
)
