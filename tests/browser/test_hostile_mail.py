"""A message of which everything is hostile, on every page that shows it (B23): nothing runs,
nothing is asked of elsewhere, and everything is shown as it is."""

from __future__ import annotations

import base64
from collections.abc import Callable

from playwright.sync_api import expect

from tests.support.browser import XSS, Seat, System

EVIL = f"""'"></title></textarea><script>{XSS}(1)</script><img src=x onerror={XSS}(2)>"""
REPLY = f"<script>{XSS}(3)</script><img src=//elsewhere.test/i onerror={XSS}(4)>"
HTML = f"""<!doctype html><html><head><script>{XSS}(5)</script>
<style>@import "//elsewhere.test/s.css"; body {{ background: url(//elsewhere.test/b) }}</style>
<meta http-equiv="refresh" content="0;url=//elsewhere.test/"><base href="//elsewhere.test/"></head>
<body onload="{XSS}(6)"><p style="background:url(//elsewhere.test/p)">What is left</p>
<img src="//elsewhere.test/pixel" onerror="{XSS}(7)"><svg onload="{XSS}(8)">
<script>{XSS}(9)</script></svg>
<iframe src="javascript:parent.{XSS}(10)"></iframe><form action="//elsewhere.test/"><input autofocus
onfocus="{XSS}(11)"></form><a href="javascript:{XSS}(12)">link</a><math><mtext></form><form><mglyph>
<style></math><img src onerror={XSS}(13)></style></body></html>"""
LATER = "later@refused.test"


def _send(world: System) -> str:
    evil = base64.b64encode(HTML.encode()).decode()
    refused = f"hostile{len(world.strict.messages)}@refused.test"
    world.strict.answers[f"RCPT {refused}"] = f"550 5.1.1 {REPLY}"
    world.strict.answers[f"RCPT {LATER}"] = f"451 4.7.1 {REPLY}"
    return world.api.send(
        **{"from": {"email": "shop@shop.test", "name": EVIL}},
        to=["ann@people.test", refused, {"email": LATER, "name": EVIL}],
        subject=EVIL,
        html=HTML,
        text=f"What is left {EVIL}",
        tags=["<script>"],
        metadata={"key": EVIL},
        attachments=[
            {
                "filename": f"{XSS}<img src=x onerror={XSS}(14)>.html",
                "content_type": "text/html",
                "content": evil,
            }
        ],
    )


def test_b23_nothing_of_a_hostile_message_runs_in_the_console(
    seat: Callable[..., Seat], world: System
) -> None:
    place = seat()
    place.sign_in(world.user("owner"))
    message = f"/messages/{_send(world)}"
    page = place.open(message)
    expect(page.locator("#sum")).to_contain_text("bounced")
    expect(page.locator("#sum")).to_contain_text("deferred")
    expect(page.locator("samp", has_text="550")).to_contain_text(REPLY)
    expect(page.get_by_role("heading", level=1)).to_have_text(EVIL)
    expect(page.get_by_text(f"key{EVIL}")).to_be_visible()
    page.reload()
    place.open(f"{message}?view=preview")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_text("What is left")).to_be_visible()
    expect(
        frame.locator("script, iframe, form, input, base, meta[http-equiv=refresh]")
    ).to_have_count(0)
    frame.get_by_text("link").click()
    page.goto(world.page(f"{message}/frame"))
    expect(page.get_by_text("What is left")).to_be_visible()
    for view in ("headers", "source"):
        place.open(f"{message}?view={view}")
        expect(page.get_by_role("heading", level=1)).to_have_text(EVIL)
    for path in (
        "/messages",
        f"/messages?subject={XSS}",
        f"{message}/cancel",
        f"{message}/reschedule",
    ):
        place.open(path)
        expect(page.get_by_text(EVIL).first).to_be_visible()
    for path in ("/destinations", "/destinations/strict"):
        place.open(path)
        expect(page.get_by_text(REPLY[:40]).first).to_be_visible()
    for path in ("/", f"/compose?again={message.rpartition('/')[2]}", "/compose", "/audit"):
        place.open(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_b23_nothing_of_a_hostile_message_runs_in_the_inbox(
    seat: Callable[..., Seat], world: System
) -> None:
    place = seat()
    _send(world)
    letter = place.captured(EVIL)
    page = place.page
    page.goto(world.inbox)
    page.get_by_role("link", name=EVIL).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(EVIL)
    expect(page.frame_locator("iframe").get_by_text("What is left")).to_be_visible()
    for path in ("?view=text", "?view=headers", "?view=source", "/html"):
        page.goto(f"{world.inbox}/messages/{letter['id']}{path}")
        expect(page.get_by_text("What is left").first).to_be_visible(
            visible=path != "?view=headers"
        )
