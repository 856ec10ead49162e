"""What web, workers and exporter tell of mail that went each way; nothing forgotten or doubled."""

from __future__ import annotations

import json
import os
import re
import signal
import time

from prometheus_client.parser import text_string_to_metric_families

from shared.supervisor.probes import http_ok
from tests.support import coming_back
from tests.support.system import QUICK, System, poll, running

LABELS = {
    "application", "category", "class", "days", "destination", "kind", "method", "name",
    "operation", "outcome", "provider", "reason", "route", "rule", "site", "stage", "status",
    "version", "window", "le",
}  # fmt: skip
"""Labels with few values each: none is an address, a domain of recipients, an id or a text."""
NO_UNITS = re.compile(r"_(ms|millis\w*|minutes|hours|us|kb|mb|percent|size|time)\Z")
FULL = "452 4.2.2 mailbox full"
GONE = "550 5.1.1 no such user"


def delivered_count(system: System, name: str) -> float:
    """How many deliveries of a class the workers have timed."""
    sample = f'posthaste_delivery_seconds_count{{class="{name}"}}'
    return sum(system.samples(url)[sample] for url in system.workers)


def attempts(system: System, name: str, outcome: str, category: str) -> float:
    labels = f'{{category="{category}",class="{name}",outcome="{outcome}"}}'
    return system.samples(system.exporter).get(f"posthaste_attempts_total{labels}", 0)


def test_each_way_is_counted_once() -> None:
    with running(settings=QUICK) as system:
        for number in range(4):
            system.wait_status(system.send(**{"class": "critical"}), "delivered")
            assert delivered_count(system, "critical") == number + 1
        system.server.answers["RCPT"] = [FULL]
        deferred = system.send()
        system.wait_status(deferred, "delivered")
        system.server.answers["RCPT"] = [GONE]
        system.wait_status(system.send(), "bounced")
        assert system.ask("POST", "/v1/messages", {})[0] == 422
        assert attempts(system, "critical", "delivered", "none") == 4
        assert attempts(system, "transactional", "deferred", "mailbox_full") == 1
        assert attempts(system, "transactional", "bounced", "mailbox_unknown") == 1
        assert attempts(system, "transactional", "delivered", "none") == 1
        (worker,) = (system.samples(url) for url in system.workers)
        assert worker['posthaste_first_attempt_seconds_count{class="transactional"}'] == 2
        assert worker['posthaste_stage_seconds_count{stage="render"}'] == 7
        assert worker['posthaste_stage_seconds_count{stage="transmit"}'] == 7
        assert worker["posthaste_smtp_transactions_total"] == 7
        assert 1 <= worker["posthaste_smtp_sessions_opened_total"] <= 3
        assert worker["process_resident_memory_bytes"] > 1e6
        web = system.samples(system.operator)
        assert web['posthaste_messages_rejected_total{reason="invalid"}'] == 1
        assert web["posthaste_accept_commit_seconds_count"] == 6
        store = system.samples(system.exporter)
        assert store["posthaste_live_workers"] == 1
        assert store["posthaste_store_durable"] == 1
        assert store["posthaste_store_disk_free_bytes"] > 0
        assert store['posthaste_reconciliation{class="critical"}'] == 0
        for url in (system.operator, system.exporter, *system.workers):
            keeps_to_the_conventions(system.page(url, "/metrics")[1])
        system.reconcile()


def keeps_to_the_conventions(page: str) -> None:
    """A page of metrics: names, units and help of ours, and labels that are bounded."""
    ours = [
        family
        for family in text_string_to_metric_families(page)
        if not family.name.startswith(("process_", "python_"))
    ]
    assert ours
    for family in ours:
        assert re.fullmatch(r"posthaste_[a-z][a-z0-9_]*[a-z0-9]", family.name)
        assert not NO_UNITS.search(family.name), "seconds or bytes"
        assert re.fullmatch(r"[A-Z1].*\.", family.documentation), family.name
        assert family.type in ("counter", "gauge", "histogram"), family.name
        assert family.type != "histogram" or family.name.endswith("_seconds")
        assert family.type != "gauge" or not family.name.endswith("_total")
        for sample in family.samples:
            assert sample.labels.keys() <= LABELS, sample


def test_what_comes_back_is_counted_where_it_comes_and_in_the_store() -> None:
    settings = f"{QUICK}{coming_back.SETTINGS}"
    with running("--workers", "1", "--bounces", "0", settings=settings) as system:
        coming_back.everything_comes_back(system, 0)
        url = system.facts()["bounces_operator"]
        role, store = system.samples(url), system.samples(system.exporter)
        counted = tuple(
            f"posthaste_returned_{each}" for each in ("mail", "unmatched", "recipients_refused")
        )
        told = {
            name.removeprefix("posthaste_returned_"): value
            for name, value in role.items()
            if value and name.startswith(counted)
        }
        assert told == {
            'mail_total{kind="dsn",outcome="changed"}': 1,
            'mail_total{kind="complaint",outcome="noted"}': 1,
            'mail_total{kind="other",outcome="kept"}': 1,
            'unmatched_total{reason="postmaster"}': 1,
            'recipients_refused_total{reason="bad_token"}': 1,
        }
        assert role["posthaste_returned_bytes_total"] > 1000
        assert role["posthaste_returned_sessions_opened_total"] >= 4
        assert role["posthaste_returned_seconds_count"] == 3
        wanted = {"delivered": 3, "bounced_late": 1, "complained": 1, "unsubscribed": 1}
        for what, count in wanted.items():
            labels = f'application="default",class="bulk",outcome="{what}",site="other"'
            assert store[f"posthaste_outcomes_total{{{labels}}}"] == count, what
        labels = 'application="default",class="transactional",outcome="suppressed",site="other"'
        assert store[f"posthaste_outcomes_total{{{labels}}}"] == 1
        assert store["posthaste_suppressions"] == 3
        assert store["posthaste_kept_returns"] == 1
        assert store["posthaste_return_path_domains"] == 1
        for page in (url, system.exporter):
            keeps_to_the_conventions(system.page(page, "/metrics")[1])
        system.reconcile()


def test_a_limit_that_cuts_turns_short_is_counted() -> None:
    def refused() -> float:
        return system.samples(system.exporter)["posthaste_permits_refused_total"]

    with running(settings=QUICK + "\n[[relay]]\nrate = 20\n") as system:
        assert refused() == 0
        identifiers = [system.send() for _ in range(10)]
        for identifier in identifiers:
            system.wait_status(identifier, "delivered")
        assert refused() > 0
        a_relay_that_asks_for_less_is_counted(system)


def a_relay_that_asks_for_less_is_counted(system: System) -> None:
    """By the worker, with the rule; and by the exporter as long as it gets less."""
    (url,) = system.workers
    replies = 'posthaste_throttling_replies_total{rule="rate-limited"}'
    relays = 'posthaste_throttled_destinations{kind="relay",provider=""}'
    assert system.samples(url)[replies] == 0
    assert system.samples(system.exporter)[relays] == 0
    system.server.answers["MAIL"] = ["451 4.7.0 too many messages, slow down"]
    system.send()
    poll(lambda: system.samples(system.exporter)[relays] == 1)
    assert system.samples(url)[replies] == 1
    assert system.samples(system.exporter)["posthaste_slowed_down_total"] == 1
    keeps_to_the_conventions(system.page(url, "/metrics")[1])


def test_counters_of_web_outlive_its_processes() -> None:
    with running(settings=QUICK) as system:
        commits = "posthaste_accept_commit_seconds_count"
        for _ in range(3):
            system.send()
        assert system.samples(system.operator)[commits] == 3
        (leader,) = system.pids("web")
        (old,) = children(leader)
        os.kill(old, signal.SIGKILL)
        poll(lambda: children(leader) not in ([], [old]))
        poll(lambda: system.page(system.operator, "/livez")[0] == 200)
        system.send()
        assert system.samples(system.operator)[commits] == 4


def children(leader: int) -> list[int]:
    """The processes of a gunicorn."""
    with open(f"/proc/{leader}/task/{leader}/children", encoding="ascii") as listed:
        return [int(each) for each in listed.read().split()]


def test_web_announces_its_stop_and_serves_meanwhile() -> None:
    with running(settings=QUICK + "\n[web]\ndrain_seconds = 3\n") as system:
        (old,) = system.pids("web")
        began = time.monotonic()
        os.kill(old, signal.SIGTERM)

        def announced() -> bool:
            status, text = system.page(system.operator, "/readyz")
            return status == 503 and json.loads(text)["reasons"] == ["stopping"]

        poll(announced)
        system.wait_status(system.send(), "delivered")
        assert system.pids("web") == [old]
        system.wait_restarted("web", old)
        assert time.monotonic() - began >= 3
        poll(lambda: http_ok(system.http, "/readyz"))


def test_a_worker_tells_that_it_is_to_stop() -> None:
    with running(settings=QUICK) as system:
        (url,) = system.workers
        assert system.page(url, "/readyz")[0] == 200
        system.server.answers["."] = "stall"
        identifier = system.send()
        poll(lambda: system.samples(url)["posthaste_legs_working"] == 1)
        (old,) = system.pids("worker")
        os.kill(old, signal.SIGTERM)
        poll(lambda: "stopping" in system.page(url, "/readyz")[1])
        assert system.page(url, "/livez")[0] == 200
        system.server.answers["."] = []
        system.server.release()
        system.wait_status(identifier, "delivered")
        system.wait_restarted("worker", old)
        assert len(system.server.answered()) == 1
