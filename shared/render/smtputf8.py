"""Which deliveries need SMTPUTF8 (RFC 6531): those with a non-ASCII local part that shows or acts.

The visible headers and the return path are every recipient's; a Bcc address is only its own. Pure.
"""

from __future__ import annotations

import msgspec

from shared.model.leg import Leg
from shared.model.message import Content, Head


def needs_smtputf8(head: Head, content: Content, indices: tuple[int, ...]) -> bool:
    """Whether a transaction with the recipients of these indices needs it."""
    return _all_need_it(head, content) or any(map(_needs_it(head).__contains__, indices))


def parts(leg: Leg, head: Head, content: Content) -> tuple[Leg, ...]:
    """The legs that replace one of whose open recipients only some need it; none when it may stay.

    So nobody's copy bounces for the sake of an address that it does not show.
    """
    needing = _needs_it(head)
    if not needing or _all_need_it(head, content):
        return ()
    opened = set(leg.open_indices())
    apart = needing & opened
    if not apart or apart == opened:
        return ()
    status = dict(zip(leg.indices(), leg.statuses, strict=True))
    groups = ([index for index in status if index not in apart], sorted(apart))
    return tuple(
        msgspec.structs.replace(
            leg,
            recipients=tuple(group),
            statuses=tuple(status[index] for index in group),
        )
        for group in groups
    )


def _needs_it(head: Head) -> set[int]:
    """The indices of recipients that need it themselves."""
    return {index for index, each in enumerate(head.recipients) if not each.email.isascii()}


def _all_need_it(head: Head, content: Content) -> bool:
    shown = [each.email for each in head.recipients if each.kind != "bcc"]
    shown += [each.email for each in content.reply_to]
    return not all(map(str.isascii, (head.sender.email, head.return_path, *shown)))
