"""The load balancer: what it lets through, answers itself, logs and hides."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from shared.supervisor.ports import reserve
from tests.conftest import need_redis
from tests.support.certificates import Authority
from tests.support.front import SOURCES, Front, front
from tests.support.redis_server import RedisServer
from tests.support.roles import Role, key_for
from tests.support.system import message, poll

LIMIT = 200_000
VERSION = re.compile(r"nginx/|gunicorn|Python|Werkzeug")


class Installation:
    """One web behind one nginx, and a key."""

    def __init__(self, balancer: Front, key: str) -> None:
        self.front = balancer
        self.key = key

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """One request over TLS: status, JSON or a page, headers in lower case."""
        given = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        with closing(self.front.connect()) as connection:
            connection.request(method, path, data, given | (headers or {}))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            answer = response.read()
            is_json = "json" in found.get("content-type", "")
            return response.status, json.loads(answer) if is_json else answer, found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Shared by the tests of this module."""
    need_redis()
    with ExitStack() as stack:
        server = RedisServer().start()
        stack.callback(server.stop)
        log = tmp_path_factory.mktemp("front") / "web.log"
        console = {
            "POSTHASTE_CONSOLE_URL": "https://localhost",
            "POSTHASTE_CONSOLE_KEY": "k" * 32,
            "POSTHASTE_CONSOLE_TRUSTED_PROXIES": "127.0.0.0/8",
        }
        web = Role("web", server.url, log, POSTHASTE_WEB_PROCESSES="1", **console)
        stack.callback(web.release)
        web.start()
        key = key_for(server.url)
        with front(f"127.0.0.1:{web.port}", NGINX_MAX_REQUEST_BYTES=str(LIMIT)) as balancer:
            yield Installation(balancer, key)


def raw(at: Front, data: bytes, *, tls: bool = True) -> bytes:
    """What is answered to these very bytes."""
    with ExitStack() as stack:
        link: socket.socket = stack.enter_context(
            socket.create_connection(("localhost", at.port), timeout=20)
        )
        if tls:
            link = stack.enter_context(at.tls().wrap_socket(link, server_hostname="localhost"))
        link.sendall(data)
        found = b""
        try:
            while chunk := link.recv(65536):
                found += chunk
        except OSError:
            pass  # It was reset after the answer, because nobody read the rest of the request.
        return found


def problem(answer: bytes) -> dict[str, Any]:
    """The document of an answer of nginx itself, after what holds for all of them."""
    head, _, body = answer.partition(b"\r\n\r\n")
    text = head.decode()
    assert "Content-Type: application/problem+json" in text
    assert not VERSION.search(text)
    found: dict[str, Any] = json.loads(body)
    assert int(text.split()[1]) == found["status"]
    assert re.search(rf"^X-Request-Id: {found['request_id']}\r?$", text, re.MULTILINE)
    assert found["type"] == "about:blank"
    assert found["detail"]
    return found


def test_mail_is_accepted(installed: Installation) -> None:
    status, body, headers = installed.ask("POST", "/v1/messages", message())
    assert status == 202
    assert headers["server"] == "nginx"
    assert headers["strict-transport-security"]
    assert headers["cache-control"] == "no-store"
    status, found, _ = installed.ask("GET", f"/v1/messages/{body['id']}")
    assert (status, found["id"]) == (200, body["id"])


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404, "not_found"),
        (b"GET //%6detrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404, "not_found"),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405, "method_not_allowed"),
        (b"nonsense\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "bad_request"),
        (b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 5000), 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (b"x" * 5000), 431, "headers_too_large"),
        (b"GET / HTTP/9.1\r\nHost: a\r\n\r\n", 505, "http_version_not_supported"),
        (
            b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: odd\r\n\r\n",
            501, "not_implemented",
        ),
        (
            b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1),
            413, "too_large",
        ),
    ],
)  # fmt: skip
def test_its_own_answers_are_problems(
    installed: Installation, request_bytes: bytes, status: int, code: str
) -> None:
    found = problem(raw(installed.front, request_bytes))
    assert (found["status"], found["code"]) == (status, code)


def test_the_body_of_a_click_is_small(installed: Installation) -> None:
    head = b"POST /u/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n"
    found = problem(raw(installed.front, head))
    assert found["code"] == "too_large"
    assert "1024" in found["detail"]


def test_plain_http_on_the_port_for_tls(installed: Installation) -> None:
    found = problem(raw(installed.front, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", tls=False))
    assert found["code"] == "bad_request"


def test_an_oversized_body_is_answered_while_it_is_sent(installed: Installation) -> None:
    status, body, _ = installed.ask("POST", "/v1/messages", b"x" * (LIMIT * 20))
    assert (status, body["code"]) == (413, "too_large")


def test_what_web_refuses_comes_through_as_it_is(installed: Installation) -> None:
    status, body, headers = installed.ask("POST", "/v1/messages", message(to="nobody"))
    assert (status, body["code"]) == (422, "invalid")
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == body["request_id"]


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, 'quo"te', "<b>"])
def test_a_request_id_that_is_not_well_formed_is_replaced(
    installed: Installation, given: str
) -> None:
    headers = {"X-Request-Id": given}
    status, body, headers = installed.ask("GET", "/v1/messages/x", headers=headers)
    assert status == 404
    assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])
    assert body["request_id"] == headers["x-request-id"]


def test_a_request_id_is_passed_on_logged_and_returned(installed: Installation) -> None:
    _, body, headers = installed.ask("GET", "/v1/none", headers={"X-Request-Id": "order-77.a_b"})
    assert headers["x-request-id"] == body["request_id"] == "order-77.a_b"
    poll(lambda: '"request_id":"order-77.a_b"' in installed.front.access_log())


def test_the_log_holds_no_key_no_query_and_no_address_of_mail(installed: Installation) -> None:
    for path in (
        "/v1/messages?to=secret@example.test",
        "/v1/x/secret@example.test",
        "/v1/x/secret%40example.test",
        "/v1/%22%0a?status=secret@example.test",
    ):
        installed.ask("GET", path, headers={"X-Request-Id": "logged-1"})
    poll(lambda: installed.front.access_log().count("logged-1") == 4)
    said = installed.front.access_log() + installed.front.error_log()
    assert installed.key not in said
    assert installed.key.split("_")[-1] not in said
    assert "secret@" not in said
    assert "secret%40" not in said
    assert "?" not in installed.front.access_log()
    for line in installed.front.access_log().splitlines():
        assert json.loads(line)["event"] == "request"


def test_the_log_ends_before_an_address_of_the_suppression_list(installed: Installation) -> None:
    paths = {
        "/v1/suppressions/secret@example.test": "/v1/suppressions/",
        "/v1/suppressions/secret%40example.test?list=secret": "/v1/suppressions/",
        "//v1/./suppressions/secret": "/v1/suppressions/",
        "/v1/%73uppressions/secret@example.test": "/v1/",
        "/v1/suppressions/export?application=secret": "/v1/suppressions/export",
    }
    for path in paths:
        installed.ask("GET", path, headers={"X-Request-Id": "logged-2"})
    poll(lambda: installed.front.access_log().count("logged-2") == len(paths))
    said = [line for line in installed.front.access_log().splitlines() if "logged-2" in line]
    assert [json.loads(line)["path"] for line in said] == list(paths.values())
    assert "secret" not in "".join(said)


def test_the_log_ends_before_the_token_of_a_link_of_the_console(installed: Installation) -> None:
    paths = {
        "/console/reset": "/console/reset",
        "/console/reset/secret": "/console/reset/",
        "/console/./invitation/secret?x=secret": "/console/invitation/",
        "/console/FIRST/secret": "/console/FIRST/",
        "/console/re%73et/secret": "/console/re",
    }
    for path in paths:
        installed.ask("GET", path, headers={"X-Request-Id": "logged-3"})
    poll(lambda: installed.front.access_log().count("logged-3") == len(paths))
    said = [line for line in installed.front.access_log().splitlines() if "logged-3" in line]
    assert [json.loads(line)["path"] for line in said] == list(paths.values())
    assert "secret" not in "".join(said)


def test_b25_the_console_has_its_headers_once_and_cookies_for_this_host(
    installed: Installation,
) -> None:
    with closing(installed.front.connect()) as connection:
        connection.request("GET", "/console/sign-in")
        response = connection.getresponse()
        page, headers = response.read().decode(), response.headers
    assert response.status == 200
    assert 'name="password"' in page
    for name in ("Strict-Transport-Security", "Content-Security-Policy", "Cache-Control"):
        assert len(headers.get_all(name) or ()) == 1, name
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    cookie = headers["Set-Cookie"]
    assert cookie.startswith("__Host-posthaste-form=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_a_file_of_the_console_may_be_as_large_as_a_request(installed: Installation) -> None:
    """Whoever is not signed in is sent there; nginx itself refuses what is larger."""
    for size, told in ((LIMIT - 1000, {303, 302}), (LIMIT + 1, {413})):
        with closing(installed.front.connect()) as connection:
            sent = {"Content-Type": "multipart/form-data; boundary=b"}
            connection.request("POST", "/console/compose/files", b"x" * size, sent)
            assert connection.getresponse().status in told


def test_plain_http_is_sent_to_tls(installed: Installation) -> None:
    with closing(HTTPConnection("localhost", installed.front.http_port, timeout=10)) as connection:
        connection.request("POST", "/v1/messages?a=b", b"{}")
        response = connection.getresponse()
        assert response.status == 308
        where = f"https://localhost:{installed.front.port}/v1/messages?a=b"
        assert response.getheader("Location") == where


def test_http2_and_no_tls_below_1_2(installed: Installation) -> None:
    context = installed.front.tls()
    context.set_alpn_protocols(["h2", "http/1.1"])
    at = ("localhost", installed.front.port)
    with (
        socket.create_connection(at, 10) as link,
        context.wrap_socket(link, server_hostname="localhost") as secured,
    ):
        assert secured.selected_alpn_protocol() == "h2"
        assert secured.version() == "TLSv1.3"
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSVersion"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSVersion"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(at, 10) as link, pytest.raises((ssl.SSLError, OSError)):
        old.wrap_socket(link)


def test_health_is_told_and_the_status_page_is_not(installed: Installation) -> None:
    assert installed.ask("GET", "/livez")[:2] == (200, {"alive": True})
    assert installed.ask("GET", "/readyz")[:2] == (200, {"ready": True, "reasons": []})
    assert installed.ask("GET", "/stub_status")[0] == 404
    assert installed.front.plain("/stub_status", installed.front.status_port) == 200
    assert installed.front.plain("/v1/messages", installed.front.status_port) == 404


class Pretender:
    """A server that reads whole requests and then does as it is told."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.requests: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            with link:
                found = b""
                while b"\r\n\r\n" not in found and (chunk := link.recv(65536)):
                    found += chunk
                if found:
                    self.requests.append(found)
                    link.sendall(self._answer)

    def close(self) -> None:
        """Accept no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)


@pytest.fixture
def silent() -> Iterator[list[Pretender]]:
    """Two servers that take a request and hang up."""
    found = [Pretender(b""), Pretender(b"")]
    yield found
    for each in found:
        each.close()


def _post(connection: HTTPSConnection, method: str = "POST") -> tuple[int, Any, str]:
    connection.request(method, "/v1/messages", b"{}" if method == "POST" else None)
    response = connection.getresponse()
    return response.status, json.loads(response.read()), response.getheader("Retry-After") or ""


def test_what_was_sent_is_never_sent_again(silent: list[Pretender]) -> None:
    with front(" ".join(f"127.0.0.1:{each.port}" for each in silent)) as balancer:
        with closing(balancer.connect()) as connection:
            status, body, retry_after = _post(connection)
        assert (status, body["code"], retry_after) == (502, "acceptance_unknown", "5")
        assert "Idempotency-Key" in body["detail"]
        assert sum(len(each.requests) for each in silent) == 1
        (logged,) = map(json.loads, poll(balancer.access_log).splitlines())
        assert (logged["method"], logged["path"]) == ("POST", "/v1/messages")
        assert (logged["status"], logged["upstream_status"]) == ("502", "502")
        with closing(balancer.connect()) as connection:
            assert _post(connection, "GET")[0] == 502
        assert sum(len(each.requests) for each in silent) > 2  # To read again harms nobody.


def test_one_that_cannot_be_reached_is_passed_by() -> None:
    answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    alive, dead = Pretender(answer), reserve("127.0.0.1")
    try:
        with front(f"127.0.0.1:{dead.port} 127.0.0.1:{alive.port}") as balancer:
            with closing(balancer.connect()) as connection:
                assert [_post(connection)[0] for _ in range(20)] == [202] * 20
            assert len(alive.requests) == 20
    finally:
        alive.close()
        dead.release()


def test_too_many_requests_of_a_key_and_of_an_address() -> None:
    answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    web = Pretender(answer)
    limits = {"NGINX_RATE_PER_KEY": "1r/m", "NGINX_BURST_PER_KEY": "2",
              "NGINX_RATE_PER_ADDRESS": "1r/m", "NGINX_BURST_PER_ADDRESS": "6"}  # fmt: skip

    def ask(key: str) -> tuple[int, Any, str | None]:
        with closing(balancer.connect()) as connection:
            connection.request("POST", "/v1/messages", b"{}", {"Authorization": f"Bearer {key}"})
            response = connection.getresponse()
            body = json.loads(response.read())
            return response.status, body.get("code"), response.getheader("Retry-After")

    try:
        with front(f"127.0.0.1:{web.port}", **limits) as balancer:
            assert [ask("a-key")[0] for _ in range(3)] == [202] * 3
            assert ask("a-key") == (429, "rate_limited", "1")
            assert ask("b-key")[0] == 202  # Another key of the same address still may,
            assert {ask(f"key-{number}")[0] for number in range(9)} == {202, 429}
            assert ask("c-key") == (
                429,
                "rate_limited",
                "1",
            )  # until the address has had its share.
            assert "-key" not in balancer.access_log() + balancer.error_log()
            assert '"limited":"REJECTED"' in balancer.access_log()
    finally:
        web.close()


@pytest.mark.parametrize(("trusted", "seen"), [("", "127.0.0.1"), ("127.0.0.0/8", "203.0.113.9")])
def test_the_client_is_whom_a_trusted_proxy_names(trusted: str, seen: str) -> None:
    web = Pretender(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    try:
        with (
            front(f"127.0.0.1:{web.port}", NGINX_TRUSTED_PROXIES=trusted) as balancer,
            closing(balancer.connect()) as connection,
        ):
            forged = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9", "Proxy": "http://evil"}
            connection.request("GET", "/v1/x", headers=forged)
            connection.getresponse().read()
        sent = web.requests[0].decode().lower()
        assert f"x-forwarded-for: {seen}\r\n" in sent
        assert "x-forwarded-proto: https\r\n" in sent
        assert "\r\nproxy:" not in sent
    finally:
        web.close()


def test_it_follows_the_addresses_of_web() -> None:
    web = Pretender(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    with ExitStack() as stack:
        stack.callback(web.close)
        tools = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ph-names-")))
        tools.chmod(0o755)
        zone, resolver = tools / "zone", tools / "getent"
        zone.write_text("127.0.0.1 STREAM web\n")
        resolver.write_text(f"#!/bin/sh\ncat {zone}\n")  # The DNS of this test.
        resolver.chmod(0o755)
        balancer = stack.enter_context(
            front(
                f"web:{web.port}", PATH=f"{tools}:{os.environ['PATH']}",
                NGINX_WATCH_SECONDS="1", NGINX_RELOAD_SECONDS="2", NGINX_FORGET_SECONDS="2",
            )
        )  # fmt: skip
        balancer.run(str(balancer.directory / "front.sh"), "watch")

        def listed() -> list[str]:
            text = (balancer.directory / "upstream.conf").read_text()
            return re.findall(r"server ([0-9.]+):\d+ .*backup;", text)

        def reloads() -> int:
            return balancer.error_log().count("reloading nginx")

        def watched() -> float:
            return (balancer.directory / "watched").stat().st_mtime

        assert listed() == ["127.0.0.1"]
        zone.write_text("127.0.0.1 STREAM web\n127.0.0.2 STREAM web\n")
        poll(lambda: listed() == ["127.0.0.1", "127.0.0.2"] and reloads() == 1, 20)
        zone.write_text("")  # The DNS is away.
        before = watched()
        poll(lambda: watched() > before + 3, 30)
        assert listed() == ["127.0.0.1", "127.0.0.2"]
        zone.write_text("127.0.0.1 STREAM web\n")
        poll(lambda: listed() == ["127.0.0.1"] and reloads() == 2, 20)
        with closing(balancer.connect()) as connection:
            assert _post(connection, "GET")[0] == 200


def test_a_certificate_that_is_put_there_is_taken(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    web = Pretender(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    with ExitStack() as stack:
        stack.callback(web.close)
        balancer = stack.enter_context(front(f"127.0.0.1:{web.port}", NGINX_WATCH_SECONDS="1"))
        balancer.run(str(balancer.directory / "front.sh"), "watch")
        own = balancer.directory / "own"
        own.mkdir(mode=0o755)
        chain, key = authority.files("localhost")
        for source, name in ((key, "tls.key"), (chain, "tls.crt")):
            (own / name).write_bytes(Path(source).read_bytes())
            (own / name).chmod(0o644)
        context = ssl.create_default_context(cafile=authority.ca_file)

        def taken() -> bool:
            try:
                with socket.create_connection(("localhost", balancer.port), 10) as link:
                    context.wrap_socket(link, server_hostname="localhost").close()
            except ssl.SSLError:
                return False
            return True

        poll(taken, 20)
        assert (balancer.directory / "state/tls/current.crt").read_bytes() == Path(
            chain
        ).read_bytes()


@pytest.mark.parametrize(
    "wrong",
    [
        {"NGINX_RATE_PER_KEY": "10r/s; return 200"},
        {"NGINX_TRUSTED_PROXIES": "10.0.0.0/8;"},
        {"NGINX_WEB": "web"},
        {"NGINX_HTTPS_PORT": "443\nx"},
    ],
)
def test_a_wrong_setting_is_told(wrong: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [str(SOURCES / "front.sh"), "render"],
        env=os.environ | {"FRONT_DIR": str(tmp_path)} | wrong,
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert done.returncode == 2
    assert next(iter(wrong)) in done.stderr
    assert not (tmp_path / "nginx.conf").exists()
