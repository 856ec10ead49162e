"""From the bytes of a request to plain objects, strictly.

Takes a Flask request, gives dicts, lists, strings and numbers. Duplicate keys, NaN, numbers too
long, deep nesting, a byte order mark and anything but UTF-8 are a 400 that says where; a body over
the limit, also once decompressed, is a 413; another type or encoding a 415. Fields are checked
elsewhere (`web.validation`).
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

from flask import Request

from web.errors import Problem

_STRING = re.compile(rb'"[^"]*"')
_NEITHER_QUOTES_NOR_BRACKETS = bytes(set(range(256)) - set(b'"[]{}'))
_MAX_DIGITS = 20
DRAINED_BYTES = 128 * 1024 * 1024
"""Of an oversized body this much is read and dropped; what sends more is cut off."""


def _bad(code: str, detail: str) -> Problem:
    return Problem(400, code, detail)


def read_json(request: Request, *, max_bytes: int, max_depth: int) -> Any:
    """The request's body as an object. Raises `Problem`."""
    if request.mimetype != "application/json":
        raise Problem(415, "unsupported_media_type", "The body must be application/json.")
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8"):
        raise Problem(415, "unsupported_charset", "The body must be UTF-8.")
    return parse_json(read_body(request, max_bytes), max_depth)


def read_body(request: Request, max_bytes: int) -> bytes:
    """The body, decompressed within the limit. Raises `Problem`."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise Problem(415, "unsupported_encoding", "Content-Encoding must be gzip or absent.")
    body = request.get_data(cache=False)  # Bounded by Flask's MAX_CONTENT_LENGTH.
    if len(body) < (request.content_length or 0):  # Half a file is a file, of other addresses.
        raise _bad("incomplete_body", "The body is shorter than its Content-Length.")
    _refuse_more(request)
    if encoding == "identity":
        return body
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise _bad("bad_gzip", "The body is not valid gzip.") from error
    if len(plain) > max_bytes:
        raise Problem(413, "too_large", f"The body is over {max_bytes} bytes once decompressed.")
    if not inflater.eof or inflater.unused_data:
        raise _bad("bad_gzip", "The body is not one complete gzip stream.")
    return plain


def _refuse_more(request: Request) -> None:
    """413 for a body in pieces that has not ended at the limit, where werkzeug stops reading: what
    came is a part of a message or of a file, and must not be taken for the whole."""
    in_pieces = request.content_length is None and "wsgi.input_terminated" in request.environ
    if in_pieces and drain(request, DRAINED_BYTES):
        raise Problem(413, "too_large", f"The body is over {request.max_content_length} bytes.")


def drain(request: Request, length: int) -> int:
    """Read and drop the rest of a body, so that the answer reaches a client that reads nothing
    before it has sent everything; how many bytes there were."""
    left = most = min(length, DRAINED_BYTES)
    while left > 0:
        chunk = request.environ["wsgi.input"].read(min(left, 262_144))
        if not chunk:
            break
        left -= len(chunk)
    return most - left


def parse_json(body: bytes, max_depth: int) -> Any:
    """`body` as an object. Raises `Problem` with status 400."""
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _bad("bad_encoding", "The body must be UTF-8 without a byte order mark.")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad("bad_encoding", f"The body is not UTF-8 at byte {error.start}.") from error
    _check_depth(body, max_depth)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _bad(
            "bad_json", f"Not valid JSON at line {error.lineno}, column {error.colno}."
        ) from error
    if not isinstance(value, dict):
        raise _bad("not_an_object", "The body must be a JSON object.")
    return value


def _check_depth(body: bytes, max_depth: int) -> None:
    """Refuse deep nesting before anything recurses into it.

    Everything but brackets outside strings is dropped first, by passes over the whole body: a
    batch has a thousand messages, and a step of ours for each of their strings took a quarter of
    its time.
    """
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    depth = 0
    for bracket in _STRING.sub(b"", unescaped.translate(None, _NEITHER_QUOTES_NOR_BRACKETS)):
        if bracket in b"[{":
            depth += 1
            if depth > max_depth:
                raise _bad("too_deep", f"The body is nested deeper than {max_depth} levels.")
        else:
            depth -= 1


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                shown = json.dumps(name[:64])
                raise _bad("duplicate_key", f"The key {shown} stands twice in one object.")
            seen.add(name)
    return found


def _constant(name: str) -> Any:
    raise _bad("bad_number", f"{name} is not JSON.")


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise _bad("bad_number", f"A number has more than {_MAX_DIGITS} digits.")
    return int(text)


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_integer)
