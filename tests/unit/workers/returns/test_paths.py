"""The arguments of MAIL and RCPT, right ones and wrong ones."""

from __future__ import annotations

import pytest

from workers.returns.paths import argument


@pytest.mark.parametrize(
    ("text", "path", "parameters"),
    [
        (b"FROM:<>", "", {}),
        (b"from:<a@b.test>", "a@b.test", {}),
        (b"FROM: <a@b.test> ", "a@b.test", {}),
        (b"FROM:a@b.test", "a@b.test", {}),
        (b"FROM:<@one.test,@two.test:a@b.test>", "a@b.test", {}),
        (b'FROM:<"a>b <c"@b.test> SIZE=5', '"a>b <c"@b.test', {"SIZE": "5"}),
        (b'FROM:<"a\\"b"@b.test>', '"a\\"b"@b.test', {}),
        (b"FROM:<a@b.test>  SIZE=10 body=8BITMIME SMTPUTF8", "a@b.test",
         {"SIZE": "10", "BODY": "8BITMIME", "SMTPUTF8": ""}),
        ("FROM:<ä@b.test> SMTPUTF8".encode(), "ä@b.test", {"SMTPUTF8": ""}),
        (b"FROM:<" + b"x" * 250 + b"@b.te>", "x" * 250 + "@b.te", {}),
    ],
)  # fmt: skip
def test_right_ones(text: bytes, path: str, parameters: dict[str, str]) -> None:
    found = argument(text, b"FROM")
    assert found is not None
    assert (found.path, found.parameters) == (path, parameters)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"FROM", b"FROM:", b"TO:<a@b.test>", b"FROM:<a@b.test", b"FROM:a@b.test>",
        b"FROM:<a@b.test>SIZE=1", b"FROM:<a<b>@c.test>", b"FROM:<a@b.test> SIZE=1 SIZE=2",
        b"FROM:<a@b.test> =1", b"FROM:<a@b.test> SIZE=", b"FROM:<a@b.test> A=\xff",
        b"FROM:<\xff@b.test>", b"FROM:<a\tb@c.test>", b"FROM:<a\x00@c.test>", b"FROM:a b@c.test",
        b"FROM:<" + b"x" * 260 + b"@b.test>", b'FROM:<"a@b.test>',
    ],
)  # fmt: skip
def test_wrong_ones(text: bytes) -> None:
    assert argument(text, b"FROM") is None


def test_what_is_made_to_be_slow_is_not() -> None:
    argument(b"FROM:<" + b'"\\"' * 700 + b"x", b"FROM")
    argument(b"FROM:" + b" " * 2000 + b"<" + b" a=b" * 500 + b" ", b"FROM")
