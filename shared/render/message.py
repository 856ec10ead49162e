"""The whole message: headers, then the nesting of parts that its content needs.

`render(head, content)` gives bytes with CRLF line ends, not dot-stuffed, in ASCII but for addresses
that show (`needs_smtputf8`), and for 8-bit lines of an attached message unless `seven_bit`.
A plain text is derived from the HTML when there is none. Bcc, Return-Path and Received are never
among the headers. The same head and content always give the same text apart from the boundaries,
which are random and checked to be absent from every part (RFC 2046 section 5.1.1).
"""

from __future__ import annotations

import os

from shared.model.message import Address, Attachment, Content, Head
from shared.render import headers
from shared.render.bodies import encode_base64, encode_text, is_clean
from shared.render.plain import plain_text


def render(head: Head, content: Content, *, seven_bit: bool = False) -> bytes:
    """The message as bytes. Raises `ValueError` on control characters in a header value."""
    lines = [
        headers.addresses("From", (head.sender,)),
        *_recipients(head),
        headers.unstructured("Subject", head.subject),
        headers.date(head.date_ms),
        b"Message-ID: " + head.message_id.encode("ascii"),
        b"MIME-Version: 1.0",
    ]
    if content.reply_to:
        lines.append(headers.addresses("Reply-To", content.reply_to))
    given = {name.lower() for name, _ in content.headers}
    if "auto-submitted" not in given:
        lines.append(b"Auto-Submitted: auto-generated")
    lines += [headers.custom(name, value) for name, value in content.headers]
    lines.append(_body(content, seven_bit))
    return b"\r\n".join(lines)


def _recipients(head: Head) -> list[bytes]:
    lines = []
    for kind, name in (("to", "To"), ("cc", "Cc")):
        boxes = [Address(each.email, each.name) for each in head.recipients if each.kind == kind]
        if boxes:
            lines.append(headers.addresses(name, boxes))
    if not lines:  # Some servers refuse mail without any destination field.
        lines.append(b"To: undisclosed-recipients:;")
    return lines


def _body(content: Content, seven_bit: bool) -> bytes:
    """The content's headers, an empty line, and its body: text, html, inline parts, attachments."""
    inline = [each for each in content.attachments if each.content_id]
    attached = [each for each in content.attachments if not each.content_id]
    parts = []
    text = content.text
    if text is None and content.html is not None:
        text = plain_text(content.html)
    if text is not None:
        parts.append(_text_part(b"plain", text))
    if content.html is not None:
        page = _text_part(b"html", content.html)
        if inline:
            page = _multipart(
                b'related; type="text/html"',  # RFC 2387 section 3.1 requires it.
                [page, *(_attachment(each, seven_bit) for each in inline)],
            )
            inline = []
        parts.append(page)
    body = parts[0] if len(parts) == 1 else _multipart(b"alternative", parts)
    attached += inline  # Inline parts without a page to stand in are plain attachments.
    if attached:
        body = _multipart(b"mixed", [body, *(_attachment(each, seven_bit) for each in attached)])
    return body


def _text_part(kind: bytes, text: str) -> bytes:
    encoding, data = encode_text(text)
    return (
        b"Content-Type: text/" + kind + b"; charset=utf-8\r\nContent-Transfer-Encoding: "
        + encoding + b"\r\n\r\n" + data
    )  # fmt: skip


def _multipart(kind: bytes, parts: list[bytes]) -> bytes:
    while True:
        boundary = b"=_" + os.urandom(16).hex().encode("ascii")
        if not any(boundary in part for part in parts):
            break
    opening = b"--" + boundary + b"\r\n"
    # RFC 2045 section 6.4: what holds 8-bit parts is 8-bit itself.
    encoding = b"" if all(map(bytes.isascii, parts)) else b"Content-Transfer-Encoding: 8bit\r\n"
    return b"".join(
        (
            encoding,
            b"Content-Type: multipart/", kind, b';\r\n boundary="', boundary, b'"\r\n\r\n',
            *(opening + part for part in parts),
            b"--", boundary, b"--\r\n",
        )
    )  # fmt: skip


def _attachment(attachment: Attachment, seven_bit: bool) -> bytes:
    kind, data, encoding = attachment.content_type, attachment.content, b"base64"
    if kind == "message/rfc822":
        # RFC 2046 section 5.2.1 allows no encoding here: what is not clean travels as a file.
        if data and is_clean(data, eight_bit=not seven_bit):
            encoding = b"7bit" if data.isascii() else b"8bit"
            data = data if data.endswith(b"\r\n") else data + b"\r\n"
        else:
            kind = "application/octet-stream"
    if encoding == b"base64":
        data = encode_base64(data)
    disposition = b"inline" if attachment.content_id else b"attachment"
    lines = [
        b"Content-Type: " + kind.encode("ascii") + headers.parameter("name", attachment.filename),
        b"Content-Transfer-Encoding: " + encoding,
        b"Content-Disposition: " + disposition + headers.parameter("filename", attachment.filename),
    ]
    if attachment.content_id:
        lines.append(b"Content-ID: <" + attachment.content_id.encode("ascii") + b">")
    return b"\r\n".join(lines) + b"\r\n\r\n" + data
