"""The frame that shows a message's HTML: sanitised, under a policy that lets nothing load or run.

Three walls, each of which holds alone: what is not allowed is taken out (`web.preview.order`, then
nh3), the frame has no origin and no scripts (`sandbox`), and its policy has no source for anything
but images inside the page (B23, B24). Whoever shows it puts it in `<iframe sandbox="">`, without
`allow-scripts` and `allow-same-origin`. Links lead nowhere: their targets are told beside it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

import msgspec
import nh3
from flask import Response

from web.preview.order import ATTRIBUTES, MAX_HTML, TAGS, in_order
from web.preview.styles import harmless

_POLICY = (
    "default-src 'none'; img-src data:{images}; style-src 'unsafe-inline'; sandbox;"
    " form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
FRAME_POLICY = _POLICY.format(images="")
REMOTE_POLICY = _POLICY.format(images=" https:")
"""Once somebody has asked for remote images."""

MAX_INLINE_BYTES = 2 * 1024 * 1024
"""Of one image inside the page."""
MAX_INLINE_CHARACTERS = 8 * 1024 * 1024
"""Of all of them, as often as the page names them."""
_DATA_IMAGE = re.compile(
    r"data:image/(?:png|jpe?g|gif|webp|bmp|avif|x-icon|vnd\.microsoft\.icon);base64,[A-Za-z0-9+/=]*\Z",
    re.IGNORECASE,
)
_ATTRIBUTES = {tag: set(names) for tag, names in ATTRIBUTES.items()}
_HEAD = (
    '<!doctype html><html lang=""><meta charset="utf-8"><title>Preview</title>'
    "<style>body{margin:16px;font:15px/1.5 system-ui,sans-serif;color:#1a1d21;"
    "background:#fff;overflow-wrap:anywhere}img{max-width:100%}</style>"
)


class Image(msgspec.Struct, frozen=True):
    """An inline part."""

    content_type: str
    content: bytes


class Preview(msgspec.Struct, frozen=True):
    """HTML that may be shown in the frame, and what is to be told about it."""

    html: str
    links: tuple[str, ...] = ()
    """Where its links lead, each once; text of a stranger."""
    remote_images: int = 0
    """Images that are somewhere else and could be shown."""
    cut: bool = False
    """Whether it was too long, and its end is missing."""


def preview(page: str, images: Mapping[str, Image], *, remote: bool = False) -> Preview:
    """A message's HTML made safe; `images` by Content-ID, without angle brackets.

    With `remote` images of https addresses stay where they are; otherwise they are only counted.
    """
    ordered, links = in_order(page)
    sources = _Sources(images, remote=remote)
    html = nh3.clean(
        ordered,
        tags=set(TAGS),
        attributes=_ATTRIBUTES,
        attribute_filter=sources.keep,
        url_schemes={"cid", "data", "https"},  # Of images, which `keep` decides about.
        url_relative="deny",
        link_rel=None,
    )
    return Preview(html, links, sources.remote_images, len(page) > MAX_HTML)


def frame(shown: Preview, *, remote: bool = False) -> Response:
    """The frame's own page."""
    response = Response(_HEAD + shown.html, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = REMOTE_POLICY if remote else FRAME_POLICY
    response.headers["X-DNS-Prefetch-Control"] = "off"
    return response


class _Sources:
    """What becomes of each attribute's value, and of each image."""

    def __init__(self, images: Mapping[str, Image], *, remote: bool) -> None:
        self._images = images
        self._remote = remote
        self._room = MAX_INLINE_CHARACTERS
        self.remote_images = 0

    def keep(self, tag: str, attribute: str, value: str) -> str | None:
        """The value to show; None: not this attribute."""
        if attribute == "style":
            return harmless(value) or None
        if (tag, attribute) == ("img", "src"):
            return self._source(value.strip())
        return value

    def _source(self, value: str) -> str | None:
        if value[:8].lower() == "https://":
            self.remote_images += 1
            return value if self._remote else None
        if value[:4].lower() == "cid:":
            value = self._inline(value[4:])
        return value if _DATA_IMAGE.match(value) else None

    def _inline(self, identifier: str) -> str:
        found = self._images.get(identifier)
        if found is None or len(found.content) > min(MAX_INLINE_BYTES, self._room // 4 * 3):
            return ""
        source = f"data:{found.content_type};base64,{base64.b64encode(found.content).decode()}"
        self._room -= len(source)
        return source
