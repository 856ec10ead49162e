"""A quota is never exceeded, whoever asks at once, and outlives kills of store and web."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.system import QUICK, System, message, poll, running

LIMIT = 40
QUOTA = f"{QUICK}\n[application.default]\nquota_per_day = {LIMIT}\n"


def away_from_midnight() -> None:
    """The day must not end while the test runs."""
    poll(lambda: time.time() % 86_400 < 86_400 - 60, 90)


def send_single(system: System, number: int) -> list[dict[str, Any]]:
    people = [f"r{number}-{each}@example.test" for each in range(1 + number % 3)]
    status, body, headers = system.ask("POST", "/v1/messages", message(to=people))
    assert status in (202, 429), body
    if status == 429:
        assert body["code"] == "quota_exceeded"
        assert 0 < int(headers["retry-after"]) <= 86_400
        return []
    return [body]


def send_batch(system: System, number: int) -> list[dict[str, Any]]:
    messages = [message(to=f"b{number}-{each}@example.test") for each in range(10)]
    status, body, _ = system.ask("POST", "/v1/messages/batch", {"messages": messages})
    assert status == 202
    refused = [each["error"]["code"] for each in body["results"] if "error" in each]
    assert set(refused) <= {"quota_exceeded"}
    return [each for each in body["results"] if "id" in each]


def used(system: System) -> int:
    status, body, _ = system.ask("GET", "/v1/quota")
    assert status == 200, body
    (day,) = body["quota"]
    assert (day["window"], day["limit"]) == ("day", LIMIT)
    return int(day["used"])


def command(system: System, *words: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "shared.cli.main", *words, "--home", str(system.home)],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout


def is_ready(system: System) -> bool:
    try:
        return system.ask("GET", "/readyz")[0] == 200
    except OSError:
        return False


def test_quota_holds_over_all_web_processes() -> None:
    away_from_midnight()
    with running("--workers", "1", "--web", "2", settings=QUOTA) as system:
        with ThreadPoolExecutor(12) as pool:
            work = [
                pool.submit(send_batch if number % 6 == 0 else send_single, system, number)
                for number in range(60)
            ]
            accepted = [each for done in work for each in done.result()]
        assert sum(len(each["recipients"]) for each in accepted) == LIMIT
        assert used(system) == LIMIT
        for each in accepted:
            system.wait_status(each["id"], "delivered")
        assert {str(system.ledger(each["id"])) for each in accepted} == {
            "['accepted', 'attempt']"
        }, "and each was delivered once"

        for role in ("redis", "web"):
            system.wait_restarted(role, system.kill(role))
        poll(lambda: is_ready(system))
        assert used(system) == LIMIT
        status, _, _ = system.ask("POST", "/v1/messages", message())
        assert status == 429
        system.reconcile()

        (default,) = json.loads(command(system, "quota", "default", "--json"))["data"]
        assert default == system.ask("GET", "/v1/quota")[1]


def test_a_reload_changes_the_limit() -> None:
    away_from_midnight()
    with running(settings=f"{QUICK}\n[application.default]\nquota_per_day = 1\n") as system:
        system.send()
        assert system.ask("POST", "/v1/messages", message())[0] == 429
        file = system.home / "posthaste.toml"
        file.write_text(file.read_text().replace("quota_per_day = 1", "quota_per_day = 2"))
        command(system, "reload")
        system.send_when_back()
        assert system.ask("POST", "/v1/messages", message())[0] == 429
