"""What `posthaste up` shows when everything runs: one screen."""

from __future__ import annotations

import json

from shared.supervisor.home import Home
from shared.supervisor.plan import Plan

_EXAMPLE = {
    "from": "Posthaste <hello@example.test>",
    "to": "you@example.test",
    "subject": "It works",
    "text": "Hello from Posthaste.",
    "html": "<p>Hello from <b>Posthaste</b>.</p>",
}


def _curl(url: str, key: str) -> str:
    """A line that works when it is pasted into a shell."""
    body = json.dumps(_EXAMPLE, separators=(",", ":"))
    return (
        f"curl -sS {url}/v1/messages -H 'Authorization: Bearer {key}'"
        f" -H 'Content-Type: application/json' -d '{body}'"
    )


def screen(plan: Plan, home: Home, key: str, console: str) -> str:
    """Where a browser begins, URLs, the first key, a first message, and how to stop."""
    lines = [
        "Posthaste is up.",
        "",
        f"  Open      {console or 'no console: console.url is empty'}",
        "",
        f"  API       {plan.http}",
        f"  Inbox     {plan.inbox or 'not running: mail goes to ' + plan.relay}",
        f"  Bounces   {plan.bounces or 'not taken: bounces.domains is empty'}",
        f"  Metrics   {plan.exporter}/metrics",
        f"  API key   {key}",
        f"  Home      {home.directory}",
        "",
        "Send a message:",
        "",
        _curl(plan.http, key),
        "",
        f"Stop with Ctrl-C, or: posthaste down --home {home.directory}",
    ]
    return "\n".join(lines) + "\n"
