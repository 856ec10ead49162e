"""From head and content to the bytes of a message (RFC 5322, RFC 2045), put together by hand."""

from workers.render.message import needs_smtputf8, render

__all__ = ["needs_smtputf8", "render"]
