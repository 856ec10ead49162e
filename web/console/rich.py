"""HTML that people write in the console: what may be in it, and whether anything is."""

from __future__ import annotations

import re

import nh3

from web.preview.order import MAX_HTML, TAGS, in_order
from web.preview.styles import harmless

MOST = MAX_HTML
"""Characters of a page. The text of a longer one could not be made, and its end not be shown."""
_LOOKS = {"align", "bgcolor", "height", "valign", "width"}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", *_LOOKS},
    "ol": {"start", "type"},
    "table": {"border", "cellpadding", "cellspacing", *_LOOKS},
    "tr": _LOOKS,
    "td": {"colspan", "rowspan", *_LOOKS},
    "th": {"colspan", "rowspan", "scope", *_LOOKS},
    "*": {"dir", "lang", "style"},
}
_NOTHING = re.compile(r"<(?!img\b|hr\b)[^>]*>|&nbsp;|\s|\xa0", re.IGNORECASE)


def clean(page: str) -> str:
    """The page with nothing in it that acts, or that mail programs would drop anyway (B23, B24)."""
    ordered, _ = in_order(page, linked=True)
    return nh3.clean(
        ordered,
        tags=set(TAGS),
        attributes=_ATTRIBUTES,
        attribute_filter=_kept,
        url_schemes={"http", "https", "mailto", "tel"},
        url_relative="deny",
        link_rel=None,
    )


def is_blank(page: str) -> bool:
    """Whether a clean page shows nothing: an editor leaves `<p><br></p>` behind."""
    return not _NOTHING.sub("", page)


def _kept(tag: str, name: str, value: str) -> str | None:
    del tag
    return (harmless(value) or None) if name == "style" else value
