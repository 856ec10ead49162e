"""What tests of composing share: a form as a browser sends it, and what was accepted of it."""

from __future__ import annotations

import io
import re
from typing import Any

from werkzeug.test import TestResponse

from shared.compression import unpack_content
from shared.ids import parse_external
from shared.model.message import Content
from shared.store.ports import Stored
from tests.support.console import Browser, ConsoleApi

_DRAFT = re.compile(r'name="draft" value="(draft_[0-9a-f]+)"')
_FILE = re.compile(r'data-file="(file_[0-9a-f]+)"')
GOOD: dict[str, Any] = {
    "from_name": "Shop", "from_local": "news", "from_domain": "example.test",
    "to": "ann@people.test", "subject": "Hello", "text": "Words.", "class": "transactional",
    "when": "now", "on_uncertain": "resend",
}  # fmt: skip


def new_draft(browser: Browser) -> str:
    """The name of the draft on a fresh page."""
    return draft_on(browser.get("/compose"))


def draft_on(page: TestResponse) -> str:
    """The name of the draft on this page."""
    found = _DRAFT.search(page.text)
    assert found, page.text
    return found[1]


def files_on(page: TestResponse) -> list[str]:
    """The ids of attachments on this page."""
    return _FILE.findall(page.text)


def submit(browser: Browser, draft: str, act: str = "send", **fields: Any) -> TestResponse:
    """Press a button of the form."""
    return browser.post("/compose", {**GOOD, "draft": draft, "do": act, **fields})


def upload(browser: Browser, draft: str, name: str, content: bytes, kind: str = "") -> TestResponse:
    """What the page's script does with a file."""
    file = (io.BytesIO(content), name, kind or "application/octet-stream")
    return browser.post("/compose/files", {"draft": draft, "file": file})


def message_of(answer: TestResponse) -> str:
    """The message that an answer leads to."""
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].partition("/console/messages/")[2].partition("?")[0]


def accepted(console: ConsoleApi, answer: TestResponse) -> tuple[Stored, Content]:
    """What was accepted."""
    message_id = parse_external(message_of(answer))
    assert message_id is not None
    stored, packed = console.store.spool.get(message_id), console.store.spool.content(message_id)
    assert stored is not None
    assert packed is not None
    return stored, unpack_content(packed)
