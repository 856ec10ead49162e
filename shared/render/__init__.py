"""From head and content to the bytes of a message (RFC 5322, RFC 2045), put together by hand."""

from shared.render.message import render
from shared.render.smtputf8 import needs_smtputf8, parts

__all__ = ["needs_smtputf8", "parts", "render"]
