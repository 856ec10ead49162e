"""B12: one HTTP answer, read with bounds; anything but a complete plain 200 is refused."""

from __future__ import annotations

import asyncio

import pytest

from workers.dns.http_answer import MOST_BODY_BYTES, MOST_HEAD_BYTES, NotUsable, read_answer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LIMIT = MOST_BODY_BYTES


def read(*parts: bytes, ends: bool = True) -> bytes:
    async def work() -> bytes:
        reader = asyncio.StreamReader(limit=MOST_HEAD_BYTES)
        for part in parts:
            reader.feed_data(part)
        if ends:
            reader.feed_eof()
        return await read_answer(reader)

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (HEAD + b"Content-Length: 5\r\n\r\nhello and more", b"hello"),
        (HEAD + b"Content-Length: 0\r\n\r\n", b""),
        (HEAD + b"content-length:5\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
        (HEAD + b"\r\nuntil the end", b"until the end"),
        (CHUNKED + b"3\r\nhel\r\n02;x=y\r\nlo\r\n0\r\n\r\n", b"hello"),
        (CHUNKED + b"A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", b"0123456789"),
        (b"HTTP/1.0 200\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nx", b"x"),
        (HEAD.replace(b"text/plain", b"TEXT/Plain ;charset=utf-8") + b"\r\nx", b"x"),
        (HEAD + b"Content-Encoding: identity\r\n\r\nx", b"x"),
        (HEAD + b"Content-Length: %d\r\n\r\n" % LIMIT + b"x" * LIMIT, b"x" * LIMIT),
        (HEAD + b"\r\n" + b"x" * LIMIT, b"x" * LIMIT),
        (CHUNKED + b"%x\r\n" % LIMIT + b"x" * LIMIT + b"\r\n0\r\n\r\n", b"x" * LIMIT),
    ],
)
def test_a_plain_200_is_read_however_it_is_framed(answer: bytes, body: bytes) -> None:
    assert read(answer) == body


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 301 Moved\r\nLocation: https://evil.test/\r\n\r\n", "301"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\r\nx", "404"),
        (b"HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n\r\n", "204"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"\r\nx", "100"),
        (b"220 mail.test ESMTP\r\n\r\n", "not HTTP"),
        (b"HTTP/2 200 OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "not HTTP"),
        (HEAD.replace(b"text/plain", b"text/html") + b"\r\nx", "text/plain"),
        (HEAD.replace(b"text/plain", b"text/plainer") + b"\r\nx", "text/plain"),
        (HEAD + b"Content-Type: text/html\r\n\r\nx", "text/plain"),
        (b"HTTP/1.1 200 OK\r\n\r\nx", "text/plain"),
        (HEAD + b"Content-Encoding: gzip\r\n\r\nx", "encoded"),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "encoded"),
        (HEAD + b"No colon\r\n\r\nx", "head"),
        (HEAD + b" folded: x\r\n\r\nx", "head"),
        (HEAD + b"Name : x\r\n\r\nx", "head"),
        (HEAD + b"X: a\x00b\r\n\r\nx", "head"),
        (HEAD + b"X: a\nb\r\n\r\nx", "head"),
        (HEAD + b"Content-Length: 5\r\n\r\nhell", "complete"),
        (HEAD + b"Content-Length: -1\r\n\r\n", "length"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "length"),
        (HEAD + b"Content-Length: 1, 1\r\n\r\nx", "length"),
        (HEAD + b"Content-Length: %d\r\n\r\n" % (LIMIT + 1), "too large"),
        (HEAD + b"Content-Length: 99999999999999999\r\n\r\n", "too large"),
        (HEAD + b"\r\n" + b"x" * (LIMIT + 1), "too large"),
        (CHUNKED + b"%x\r\n" % (LIMIT + 1), "too large"),
        (CHUNKED + b"1\r\nx\r\n%x\r\n" % LIMIT, "too large"),
        (CHUNKED + b"ffffffff\r\n", "too large"),
        (CHUNKED + b"5\r\nhel", "complete"),
        (CHUNKED + b"3\r\nhel\r\n", "complete"),
        (CHUNKED + b"3\r\nhello\r\n0\r\n\r\n", "not HTTP"),
        (CHUNKED + b"-3\r\n", "not HTTP"),
        (CHUNKED + b"\r\n", "not HTTP"),
        (CHUNKED + b"3;" + b"x" * 300 + b"\r\nhel\r\n0\r\n\r\n", "not HTTP"),
        (HEAD + b"X: " + b"x" * MOST_HEAD_BYTES + b"\r\n\r\nx", "too large"),
        (HEAD[:20], "complete"),
        (b"", "complete"),
    ],
)
def test_anything_else_is_refused_with_the_reason(answer: bytes, reason: str) -> None:
    with pytest.raises(NotUsable, match=reason):
        read(answer)


def test_a_head_without_end_is_refused_before_it_ends() -> None:
    with pytest.raises(NotUsable, match="too large"):
        read(HEAD, *[b"X: y\r\n" * 100] * 100, ends=False)


def test_blanks_around_a_value_do_not_count() -> None:
    head = HEAD.replace(b" text/plain", b" \t text/plain \t ")
    assert read(head + b"X:" + b" " * 12_000 + b"b\r\n\r\nx") == b"x"
