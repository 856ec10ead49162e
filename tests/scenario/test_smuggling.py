"""B4, B1, B3 from the API to the wire: whatever a field holds, one message stays one message."""

from __future__ import annotations

import base64
import re
from typing import Any

from tests.support.system import System, message, poll, running

SEQUENCES = [
    "\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r.\r\n", "\r\n.\r", "\r\n.\n", "\r\n.\r\r\n",
    "\r\r\n.\r\r\n", "\r\n\0.\r\n", "\r\n.\r\n", "\r\n.\0\r\n", "\n\n.\n\n",
    "\u2028.\u2028", "\x85.\x85",
]  # fmt: skip
SMUGGLED = "MAIL FROM:<evil@evil.test>{0}RCPT TO:<victim@evil.test>{0}DATA{0}Subject: evil"


def everywhere(sequence: str) -> list[dict[str, Any]]:
    """The sequence in each field of a message, one at a time."""
    text = f"before{sequence}" + SMUGGLED.format(sequence) + sequence
    part = {
        "filename": "a.bin",
        "content": base64.b64encode(text.encode()).decode(),
        "content_type": "application/octet-stream",
    }
    return [
        {"text": text},
        {"text": None, "html": f"<p>{text}</p>"},
        {"attachments": [part]},
        {"attachments": [{**part, "content_type": "message/rfc822"}]},
        {"attachments": [{**part, "content_type": "text/plain", "content_id": "a"}], "html": text},
        {"attachments": [{**part, "filename": text}]},
        {"attachments": [{**part, "content_type": f"a/b{sequence}"}]},
        {"attachments": [{**part, "content_id": f"a{sequence}b"}]},
        {"subject": text},
        {"headers": {"X-One": text}},
        {"headers": {f"X-{sequence}": "1"}},
        {"from": f"Shop{sequence} <orders@shop.test>"},
        {"from": f"orders{sequence}@shop.test"},
        {"to": f"customer{sequence}@example.test"},
        {"to": {"email": "customer@example.test", "name": text}},
        {"reply_to": f"customer@example.test{sequence}"},
        {"return_path": f"bounces{sequence}@shop.test"},
    ]


def test_b4_b1_b3_smuggling_in_every_field() -> None:
    with running() as system:
        accepted = 0
        for sequence in SEQUENCES:
            items = [message(**fields) for fields in everywhere(sequence)]
            status, body, _ = system.ask("POST", "/v1/messages/batch", {"messages": items})
            assert status == 202
            refused = [result.get("error", {}).get("status") for result in body["results"]]
            assert refused[:5] == [None] * 5, "what stands in bodies and files is encoded"
            assert set(refused[5:]) == {422}, "what stands in lines and commands is refused"
            accepted += 5
        poll(lambda: len(system.server.answered()) >= accepted, 60)
        check(system, accepted)


def check(system: System, accepted: int) -> None:
    server = system.server
    assert len(server.messages) == accepted
    for captured in server.messages:
        wire = captured.raw + b".\r\n"
        assert captured.mail_from == "orders@shop.test"
        assert captured.recipients == ["customer@example.test"]
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", wire)
        assert wire.count(b"\r\n.\r\n") == 1
        assert max(map(len, wire.split(b"\r\n"))) <= 998
        assert b"evil" not in captured.data.partition(b"\r\n\r\n")[0]
    assert not any("evil" in command for command in server.commands)
