"""Unsubscribe links: what a page shows, what a click does, and that nothing else does it."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gunicorn.http.errors import InvalidChunkSize
from structlog.testing import capture_logs

from shared.errors import OutcomeUnknown, StoreError, StoreUnavailable
from shared.feedback.tokens import Tokens
from shared.feedback_settings import FeedbackSettings, UnsubscribeSettings
from shared.model.suppression import Suppression
from shared.settings import Settings
from shared.shaping.file import shaping_from
from tests.support.api import Api
from tests.support.system import message, samples_in

KEY = "k" * 32
READY = Settings(
    feedback=FeedbackSettings(key=KEY),
    unsubscribe=UnsubscribeSettings(url="https://mail.shop.test"),
    shaping=shaping_from(None),
)
FORM = "application/x-www-form-urlencoded"
ONE_CLICK = {"data": "List-Unsubscribe=One-Click", "content_type": FORM}
READER = "Customer+news@Example.test"


@pytest.fixture
def news() -> Iterator[Api]:
    """An installation with links."""
    found = Api(READY)
    yield found
    found.close()


def link(application: str = "shop", name: str = "news", address: str = READER) -> str:
    return "/u/" + Tokens([KEY.encode()]).unsubscribe(application, name, address)


def click(api: Api, path: str, **options: Any) -> Any:
    return api.client.post(path, **(options or ONE_CLICK))


def listed(api: Api) -> list[Suppression]:
    return api.store.suppressions.find(READER.lower())


def events(api: Api) -> list[str]:
    return [each.kind for each in api.store.spool.events()]


def unsubscribed(api: Api) -> dict[tuple[str, str, str], int]:
    found = api.store.returns.outcomes(1)
    return {key[:3]: n for key, n in found.items() if key[3] == "unsubscribed"}


def test_a_link_shows_a_page_and_changes_nothing(news: Api) -> None:
    page = news.client.get(link(name="Weekly <offers>"))
    text = page.get_data(as_text=True)
    assert page.status_code == 200
    assert page.content_type == "text/html; charset=utf-8"
    assert "Weekly &lt;offers&gt;" in text
    assert "shop" in text
    assert READER.lower() not in text.lower(), "whoever has the link is not told whose it is"
    assert '<form method="post">' in text
    assert '<input type="hidden" name="List-Unsubscribe" value="One-Click">' in text
    assert "<script" not in text
    head = news.client.head(link())
    assert (head.status_code, head.get_data()) == (200, b"")
    assert listed(news) == []
    assert events(news) == []


@pytest.mark.parametrize("path", [link(), "/u/nonsense"])
def test_pages_track_nobody_and_are_framed_by_nobody(news: Api, path: str) -> None:
    page = news.client.get(path)
    (style,) = re.findall("<style>(.*?)</style>", page.get_data(as_text=True), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert page.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    )
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["X-Robots-Tag"] == "noindex"
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in page.headers
    assert not re.search(r"""(src|href|action)\s*=|url\(|@import""", page.get_data(as_text=True))


MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
)


@pytest.mark.parametrize(
    "body",
    [
        ONE_CLICK,
        {"data": "List-Unsubscribe=One-Click\r\n", "content_type": FORM},
        {"data": "List-Unsubscribe=One%2dClick&a=b", "content_type": f"{FORM}; charset=UTF-8"},
        {"data": MULTIPART, "content_type": "multipart/form-data; boundary=b"},
        {"data": "List-Unsubscribe=One-Click", "content_type": "text/plain"},
        {"data": "List-Unsubscribe=One-Click"},
    ],
)
def test_one_click_unsubscribes_and_does_so_once(news: Api, body: dict[str, Any]) -> None:
    path = link()
    answer = click(news, path, **body)
    assert answer.status_code == 200
    assert "You are unsubscribed" in answer.get_data(as_text=True)
    (entry,) = listed(news)
    assert entry == Suppression(
        "customer+news@example.test", "shop", "news", "unsubscribe", "one-click",
        news.clock.now_ms(),
    )  # fmt: skip
    assert click(news, path, **body).status_code == 200
    assert listed(news) == [entry]
    assert sorted(events(news)) == ["suppressed", "unsubscribed"]
    assert unsubscribed(news) == {("shop", "bulk", "other"): 1}


def test_who_subscribes_again_can_unsubscribe_again(news: Api) -> None:
    for _ in range(2):
        assert click(news, link()).status_code == 200
        assert news.store.suppressions.remove(READER.lower(), "shop", "news")
    assert click(news, link()).status_code == 200
    assert len(listed(news)) == 1


def test_readers_lists_and_applications_are_told_apart(news: Api) -> None:
    for path in (link(), link(name="News"), link("other"), link(address="a@gmail.com")):
        assert click(news, path).status_code == 200
    found = {(each.application, each.list) for each in listed(news)}
    assert found == {("shop", "news"), ("shop", "News"), ("other", "news")}
    assert unsubscribed(news) == {
        ("shop", "bulk", "other"): 2, ("other", "bulk", "other"): 1, ("shop", "bulk", "google"): 1,
    }  # fmt: skip


def test_what_the_list_sends_next_is_suppressed(news: Api) -> None:
    def sent(**fields: Any) -> str:
        given = {"class": "bulk", "to": READER, **fields}
        return str(news.send(message(**given)).json["recipients"][0]["status"])

    assert sent(list="news") == "queued"
    click(news, link())
    assert sent(list="news") == "suppressed"
    assert sent(list="news", to=READER.upper()) == "suppressed"
    assert sent(list="offers") == "queued"
    assert sent() == "queued"
    assert sent(**{"class": "transactional"}) == "queued"
    assert sent(**{"class": "critical"}) == "queued"
    assert sent(list="news", to="another@example.test") == "queued"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": ""},
        {"data": "", "content_type": FORM},
        {"data": "List-Unsubscribe=", "content_type": FORM},
        {"data": "List-Unsubscribe=one-click", "content_type": FORM},
        {"data": "list-unsubscribe=One-Click", "content_type": FORM},
        {"data": "a=List-Unsubscribe=One-Click", "content_type": FORM},
        {"data": b"\xff\x00", "content_type": FORM},
        {"data": '{"List-Unsubscribe":"One-Click"}', "content_type": "application/json"},
        {"data": MULTIPART, "content_type": "multipart/form-data; boundary=other"},
        {"data": MULTIPART[:-20], "content_type": "multipart/form-data"},
    ],
)
def test_another_body_is_no_click(news: Api, body: dict[str, Any]) -> None:
    answer = click(news, link(), **{"data": b"", **body})
    assert answer.status_code == 400
    assert '<form method="post">' in answer.get_data(as_text=True), "a person may still click"
    assert listed(news) == []


def test_the_query_is_no_click(news: Api) -> None:
    path = f"{link()}?List-Unsubscribe=One-Click"
    assert click(news, path, data=b"").status_code == 400
    assert news.client.get(path).status_code == 200
    assert listed(news) == []


@pytest.mark.parametrize("length", [1025, 50_000])
def test_a_large_body_is_not_read(news: Api, length: int) -> None:
    data = "List-Unsubscribe=One-Click&a=" + "x" * (length - 29)
    answer = click(news, link(), data=data, content_type=FORM)
    assert answer.status_code == 413
    assert click(news, link(), data=data[:1024], content_type=FORM).status_code == 200


def test_a_large_body_of_unknown_length_is_not_read(news: Api) -> None:
    stream = io.BytesIO(b"List-Unsubscribe=One-Click&a=" + b"x" * 5000)
    answer = news.client.post(
        link(),
        input_stream=stream,
        content_type=FORM,
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 413
    assert listed(news) == []


def altered() -> list[str]:
    good = link().removeprefix("/u/")
    others = [
        good[:-1], good + "A", good[1:], good[:20] + ("A" if good[20] != "A" else "B") + good[21:],
        good.swapcase(), good + "=", good + "/", good[:10] + "/" + good[10:],
        Tokens([b"x" * 32]).unsubscribe("shop", "news", READER),
        Tokens([KEY.encode()]).reference(bytes(16), "shop", "bulk", "other", READER),
        "x", "%00", "\u00e9", "A" * 1500, base64.urlsafe_b64encode(b"news").decode(),
    ]  # fmt: skip
    last = [good[:-1] + each for each in string.ascii_letters + string.digits + "-_"]
    return ["/u/" + each for each in (*others, *last) if each != good]


def test_a_link_that_is_not_ours_is_not_found_whatever_is_wrong(news: Api) -> None:
    def seen(answer: Any) -> tuple[object, ...]:
        headers = {name: value for name, value in answer.headers if name != "X-Request-Id"}
        return answer.status_code, answer.get_data(), headers

    (first, *others) = [
        seen(answer)
        for path in altered()
        for answer in (news.client.get(path), click(news, path), click(news, path, data=b"x"))
    ]
    assert first[0] == 404
    assert first[2]["Content-Type"] == "text/html; charset=utf-8"  # type: ignore[index]
    assert all(each == first for each in others)
    assert events(news) == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_another_method_is_405(news: Api, method: str) -> None:
    answer = news.client.open(link(), method=method)
    assert answer.status_code == 405
    assert {each.strip() for each in answer.headers["Allow"].split(",")} == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize("error", [StoreUnavailable("x"), OutcomeUnknown("x")])
def test_without_the_store_it_is_503(
    news: Api, monkeypatch: pytest.MonkeyPatch, error: StoreError
) -> None:
    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr(news.store.returns, "news", refuse)
    answer = click(news, link())
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "Try again" in answer.get_data(as_text=True)
    assert news.client.get(link()).status_code == 200, "the page asks the store nothing"


def test_links_of_the_key_before_still_count(tmp_path: Path) -> None:
    old, new, before = link(), tmp_path / "new", tmp_path / "before"
    new.write_text("n" * 32)
    before.write_text(KEY)
    for previous, status in ((str(before), 200), ("", 404)):
        api = Api(Settings(feedback=FeedbackSettings("", str(new), previous)))
        assert click(api, old).status_code == status
        api.close()


def test_without_a_key_there_are_no_links() -> None:
    api = Api()
    assert api.client.get(link()).status_code == 404
    assert click(api, link()).status_code == 404
    api.close()


def test_neither_log_nor_metrics_have_the_token(news: Api) -> None:
    paths = [link(), *altered()]
    with capture_logs() as logged:
        for path in paths:
            news.client.get(path)
            click(news, path)
    told = str(logged) + news.operator.get("/metrics").get_data(as_text=True)
    told_of = {each["route"] for each in logged if each["event"] == "request"}
    assert told_of == {"/u/<path:token>"}
    assert not [path for path in paths if len(path) > 20 and path[3:23] in told]
    assert READER not in told
    samples = samples_in(news.operator.get("/metrics").get_data(as_text=True))
    name = 'posthaste_http_requests_total{method="POST",route="/u/<path:token>",status="200"}'
    assert samples[name] == 1


def test_chunks_that_are_none_are_the_clients_fault(news: Api) -> None:
    class Chunks(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            raise InvalidChunkSize(b"ZZ")

    with capture_logs() as logs:
        answer = news.client.post(
            link(),
            environ_overrides={
                "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True,
                "wsgi.input": Chunks(),
            },
        )  # fmt: skip
    assert answer.status_code == 400
    assert '"bad_chunks"' in answer.text
    assert {each["log_level"] for each in logs} == {"info"}
    assert listed(news) == []


def test_a_list_of_the_longest_name_can_be_left(news: Api) -> None:
    name = "\U0001f600" * 63
    sent = news.send({**message(), "class": "bulk", "list": name})
    assert sent.status_code == 202
    assert click(news, link(name=name)).status_code == 200
    assert [each.list for each in listed(news)] == [name]
