"""Pages in a real browser: nothing from elsewhere, no broken script, no serious fault of axe."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.browser import Seat, System


def test_the_first_page_is_whole(seat: Callable[[], Seat], world: System) -> None:
    place = seat()
    place.sign_in(world.user("owner"))
    place.open("/")
    assert place.page.get_by_role("heading", level=1).count() == 1
    place.look()
