"""The endpoints over the in-memory store: keys, codes, receipts, problems."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shared.errors import OutcomeUnknown, StoreFull, StoreUnavailable
from shared.settings import Settings, WebSettings
from shared.store.figures import Health
from tests.support.api import Api
from tests.support.system import message, samples_in
from web.app import create_app


def routes(api: Api) -> list[tuple[str, str]]:
    found = []
    for rule in api.app.url_map.iter_rules():
        methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        found += [(method, rule.rule) for method in methods if rule.rule.startswith("/v1")]
    return found


def test_b29_every_route_wants_a_key(api: Api) -> None:
    assert len(routes(api)) == 26
    for method, rule in routes(api):
        path = rule.replace("<identifier>", "msg_" + "0" * 32).replace("<name>", "relay")
        path = path.replace("<address:address>", "bob@example.com")
        for key in ("", "nonsense", "ph_" + "0" * 16 + "_" + "a" * 43, api.key[:-1] + "!"):
            answer = api.ask(method, path, key=key)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


WITHOUT_A_KEY = {
    "/livez": "says alive, and nothing else",
    "/readyz": "a load balancer asks it",
    "/openapi.json": "the description, which says nothing of the mail here",
    "/docs": "the same for people",
    "/u/<path:token>": "mail programs have no key (RFC 8058); the link allows one thing",
}


def test_b29_nothing_else_is_served(api: Api) -> None:
    found = {rule.rule for rule in api.app.url_map.iter_rules()}
    assert {rule for rule in found if not rule.startswith("/v1/")} == set(WITHOUT_A_KEY)


def test_a_receipt(api: Api) -> None:
    answer = api.send(message(to=["a@b.test", "c@d.test"]))
    assert answer.status_code == 202
    body = answer.json
    assert body["id"].startswith("msg_")
    assert body["message_id"] == f"<{body['id'][4:]}@shop.test>"
    assert body["status"] == "queued"
    assert body["recipients"] == [
        {"address": "a@b.test", "status": "queued"},
        {"address": "c@d.test", "status": "queued"},
    ]


def test_a_replay_answers_exactly_the_first_answer(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    later = datetime.fromtimestamp(api.clock.now_ms() / 1000 + 60, UTC).isoformat()
    first = api.send(message(send_at=later), headers=headers)
    api.clock.advance(120)
    reordered = dict(reversed(message(send_at=later).items()))
    second = api.send(reordered, headers=headers)
    assert (first.json, first.json["status"]) == (second.json, "scheduled")
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert api.accepted() == 1


def test_only_202s_are_remembered(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    assert api.send(message(to="wrong"), headers=headers).status_code == 422
    assert api.send(message(), headers=headers).status_code == 202
    mismatch = api.send(message(subject="another"), headers=headers)
    assert (mismatch.status_code, mismatch.json["code"]) == (409, "idempotency_mismatch")


def test_keys_are_per_application_and_survive_rotation(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    first = api.send(message(), headers=headers).json
    assert api.send(message(), headers=headers, key=api.new_key("shop")).json == first
    assert api.send(message(), headers=headers, key=api.new_key("other")).json != first


@pytest.mark.parametrize("key", ["", "x" * 257, "a\tb"])
def test_bad_idempotency_keys_are_400(api: Api, key: str) -> None:
    assert api.send(message(), headers={"Idempotency-Key": key}).status_code == 400


def test_a_revoked_key_stops_within_the_cache_time(api: Api) -> None:
    assert api.send(message()).status_code == 202
    assert api.store.keys.revoke(api.key.split("_")[1])
    api.clock.advance(api.settings.web.key_cache_seconds + 0.1)
    assert api.send(message()).status_code == 401


def test_b37_another_applications_message_is_404(api: Api) -> None:
    identifier = api.send(message()).json["id"]
    other = api.new_key("other")
    for method, suffix in (("GET", ""), ("POST", "/cancel"), ("PATCH", "")):
        answer = api.ask(
            method, f"/v1/messages/{identifier}{suffix}", key=other, json={"send_at": "x"}
        )
        assert answer.status_code == 404
    for bad in ("msg_x", "msg_" + "0" * 32, "MSG_" + identifier[4:]):
        assert api.ask("GET", f"/v1/messages/{bad}").status_code == 404


def test_b11_forbidden_is_403(api: Api) -> None:
    key = api.new_key("small", ("shop.test",), ("bulk",))
    answer = api.send(message(**{"from": "a@other.test", "class": "critical"}), key=key)
    assert answer.status_code == 403
    assert [each["code"] for each in answer.json["errors"]] == [
        "from_not_allowed",
        "class_not_allowed",
    ]


def test_problems_carry_the_request_id(api: Api) -> None:
    answer = api.send({}, headers={"X-Request-Id": "trace-1"})
    assert answer.headers["X-Request-Id"] == answer.json["request_id"] == "trace-1"
    assert answer.content_type == "application/problem+json"
    forged = api.send({}, headers={"X-Request-Id": "a b"})
    assert forged.headers["X-Request-Id"] != "a b"


def test_a_message_tells_the_request_it_came_with(api: Api) -> None:
    def told(identifier: str) -> Any:
        return api.ask("GET", f"/v1/messages/{identifier}").json["request_id"]

    headers = {"X-Request-Id": "one", "Idempotency-Key": "k"}
    first = api.send(message(), headers=headers)
    again = api.send(message(), headers={**headers, "X-Request-Id": "two"})
    assert again.json == first.json
    assert told(first.json["id"]) == "one", "a replay brings nothing"
    unnamed = api.send(message())
    assert told(unnamed.json["id"]) == unnamed.headers["X-Request-Id"]
    batch = {"messages": [message(), message(to="no"), message()]}
    answer = api.ask("POST", "/v1/messages/batch", json=batch, headers={"X-Request-Id": "three"})
    found = [told(each["id"]) for each in answer.json["results"] if "id" in each]
    assert found == ["three", "three"]


def test_unknown_paths_and_methods(api: Api) -> None:
    assert api.ask("GET", "/nothing").json["status"] == 404
    answer = api.ask("GET", "/v1/messages/batch/x")
    assert answer.status_code == 404
    answer = api.ask("DELETE", "/v1/messages")
    assert answer.status_code == 405
    assert answer.headers["Allow"]


def test_one_message_over_the_limit_is_413() -> None:
    api = Api(Settings(web=WebSettings(max_message_bytes=100)))
    assert api.send(message(text="x" * 101)).status_code == 413
    answer = api.ask("POST", "/v1/messages/batch", json={"messages": [message(text="x" * 101)]})
    assert answer.json["results"][0]["error"]["status"] == 413
    assert api.accepted() == 0
    api.close()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/messages"),
        ({"messages": []}, "/messages"),
        ({"messages": [1] * 1001}, "/messages"),
        ({"messages": {}}, "/messages"),
        ({"messages": [1], "other": 1}, "/other"),
    ],
)
def test_wrong_batches_are_422(api: Api, body: dict[str, Any], pointer: str) -> None:
    answer = api.ask("POST", "/v1/messages/batch", json=body)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == pointer


def test_a_batch_takes_no_idempotency_header(api: Api) -> None:
    answer = api.ask(
        "POST", "/v1/messages/batch", json={"messages": [message()]},
        headers={"Idempotency-Key": "k"},
    )  # fmt: skip
    assert answer.status_code == 400
    assert api.accepted() == 0


def test_cancel_and_reschedule(api: Api) -> None:
    later = datetime.fromtimestamp(api.clock.now_ms() / 1000, UTC) + timedelta(hours=1)
    identifier = api.send(message(send_at=later.isoformat())).json["id"]
    path = f"/v1/messages/{identifier}"
    moved = (later + timedelta(hours=1)).isoformat()
    assert api.ask("PATCH", path, json={"send_at": moved}).status_code == 200
    assert api.ask("GET", path).json["send_at"].startswith(moved[:19])
    for body in ({}, {"send_at": "x"}, {"send_at": moved, "subject": "y"}):
        assert api.ask("PATCH", path, json=body).status_code == 422
    assert api.ask("POST", f"{path}/cancel").json["recipients"][0]["status"] == "cancelled"
    assert api.ask("POST", f"{path}/cancel").json["code"] == "already_cancelled"
    assert api.ask("PATCH", path, json={"send_at": moved}).status_code == 409


class Refusing:
    """A store whose accepts end in one way."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def accept(self, submissions: list[object]) -> list[Exception]:
        """Nothing is stored."""
        return [self.error] * len(submissions)

    def health(self) -> Health:
        """It looks well."""
        return Health(())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreUnavailable("x"), "unavailable"),
        (StoreFull("x"), "unavailable"),
        (OutcomeUnknown("x"), "acceptance_unknown"),
    ],
)
def test_p7_a_store_that_refuses_is_503(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    monkeypatch.setattr(api.store.spool, "accept", Refusing(error).accept)
    for answer in (
        api.send(message()),
        api.ask("POST", "/v1/messages/batch", json={"messages": [message(), {}]}),
    ):
        assert (answer.status_code, answer.json["code"]) == (503, code)
        assert int(answer.headers["Retry-After"]) > 0


def test_an_unexpected_error_leaks_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.app.config["PROPAGATE_EXCEPTIONS"] = False
    error = RuntimeError("secret customer@example.test")
    monkeypatch.setattr(api.store.spool, "accept", Refusing(error).accept)
    answer = api.send(message())
    assert (answer.status_code, answer.json["code"]) == (500, "internal_error")
    assert "secret" not in answer.get_data(as_text=True)


def test_readiness_has_a_flat_list_of_reasons(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert api.client.get("/livez").status_code == 200
    assert api.client.get("/readyz").get_json() == {"ready": True, "reasons": []}
    monkeypatch.setattr(api.store.spool, "health", lambda: Health(("store_memory",)))
    api.context.admission.refresh()
    answer = api.client.get("/readyz")
    assert (answer.status_code, answer.get_json()["reasons"]) == (503, ["store_memory"])
    assert api.send(message()).status_code == 503
    assert api.client.get("/livez").status_code == 200


def test_b44_metrics_are_the_operators_only(api: Api) -> None:
    api.send(message())
    assert api.ask("GET", "/metrics").status_code == 404
    samples = samples_in(api.operator.get("/metrics").get_data(as_text=True))
    sent = 'posthaste_http_requests_total{method="POST",route="/v1/messages",status="202"}'
    assert samples[sent] == 1
    assert samples['posthaste_http_request_seconds_count{route="/v1/messages"}'] == 1
    assert samples["posthaste_accept_commit_seconds_count"] == 1
    assert samples["process_resident_memory_bytes"] > 1e6


def test_metrics_count_refusals_by_reason_and_never_by_path(api: Api) -> None:
    api.send({})
    api.ask("POST", "/v1/messages/batch", json={"messages": [message(), {}, 1]})
    api.ask("POST", "/v1/messages/batch", json={"messages": []})
    api.ask("GET", "/v1/messages/msg_secret")
    api.ask("PROPFIND", "/made/up")
    text = api.operator.get("/metrics").get_data(as_text=True)
    samples = samples_in(text)
    assert samples['posthaste_messages_rejected_total{reason="invalid"}'] == 4
    looked = '{method="GET",route="/v1/messages/<identifier>",status="404"}'
    assert samples[f"posthaste_http_requests_total{looked}"] == 1
    other = '{method="other",route="other",status="404"}'
    assert samples[f"posthaste_http_requests_total{other}"] == 1
    assert "secret" not in text
    assert "made" not in text
    assert "PROPFIND" not in text


def test_one_that_is_to_stop_is_not_ready() -> None:
    api = Api()
    meter = msgspec.structs.replace(api.context.meter, stopping=lambda: True)
    context = msgspec.structs.replace(api.context, meter=meter)
    client = create_app(api.settings, api.services, context).test_client()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["reasons"]) == (503, ["stopping"])
    assert client.get("/livez").status_code == 200
    api.close()
