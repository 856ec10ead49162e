"""One idempotency key makes one message, also when two requests arrive at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.support.system import message, running


def test_same_key_one_message() -> None:
    with running() as system:
        headers = {"Idempotency-Key": "order-1"}

        def send() -> tuple[int, dict[str, object], dict[str, str]]:
            return system.ask("POST", "/v1/messages", message(), headers=headers)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: send(), range(8)))
        assert {status for status, _, _ in answers} == {202}
        assert len({str(body) for _, body, _ in answers}) == 1
        replays = [found.get("idempotent-replayed") for _, _, found in answers]
        assert sorted(map(str, replays)) == ["None"] + ["true"] * 7
        status, body, _ = system.ask(
            "POST", "/v1/messages", message(subject="another"), headers=headers
        )
        assert (status, body["code"]) == (409, "idempotency_mismatch")
        identifier = str(answers[0][1]["id"])
        system.wait_status(identifier, "delivered")
        assert len(system.server.messages) == 1
        assert system.ledger(identifier) == ["accepted", "attempt"]
