"""The legs of a message, and those that replace one: by the hops that recipients take. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from shared.model.leg import Leg, LegFlag, LegState
from shared.model.message import Head
from shared.model.status import Status
from shared.model.turns import turn_name
from shared.routing import MAX_RECIPIENTS, Routes


def rerouted(leg: Leg, head: Head, routes: Routes) -> tuple[Leg, ...]:
    """The legs that replace one, each with its hop as the routes have it.

    Who has a final status stays with the first of the others: alone it would be a leg to nobody.
    """
    indices = leg.open_indices()
    hops = dict(zip(indices, routes.hops_of(head, indices), strict=True))
    first = next(iter(hops.values()), leg.hop)
    return parted(leg, [hops.get(index, first) for index in leg.indices()])


def portioned(
    leg: Leg,
    hops: Mapping[int, str],
    most: Callable[[str], int],
    apart: Mapping[int, str] | None = None,
) -> tuple[Leg, ...]:
    """The legs that replace one, by the hops of its open recipients, so many of a hop in each;
    those in `apart` with others that have the same mark there, such as their domain, only.

    Who is not in `hops` stays with the first of these.
    """
    status = dict(zip(leg.indices(), leg.statuses, strict=True))
    by_hop: dict[tuple[str, str], list[int]] = {}
    for index, hop in hops.items():
        by_hop.setdefault((hop, (apart or {}).get(index, "")), []).append(index)
    groups = [
        (hop, group[at : at + most(hop)])
        for (hop, _), group in by_hop.items()
        for at in range(0, len(group), most(hop))
    ]
    groups[0][1].extend(index for index in status if index not in hops)
    return tuple(_part(leg, hop, sorted(group), status) for hop, group in groups)


def _part(leg: Leg, hop: str, group: Sequence[int], status: Mapping[int, Status]) -> Leg:
    statuses = tuple(status[index] for index in group)
    return msgspec.structs.replace(leg, hop=hop, recipients=tuple(group), statuses=statuses)


def parted(leg: Leg, hops: Sequence[str]) -> tuple[Leg, ...]:
    """The legs that replace one, by the hop of each of its recipients."""
    status = dict(zip(leg.indices(), leg.statuses, strict=True))
    return tuple(_part(leg, hop, group, status) for hop, group in grouped(tuple(status), hops))


def legs_of(head: Head, now_ms: int, routes: Routes) -> tuple[Leg, ...]:
    """The legs of a message: one a hop, of at most `MAX_RECIPIENTS` recipients each, and one for
    each recipient whose copy goes alone."""
    scheduled = head.send_at_ms is not None and head.send_at_ms > now_ms
    status = Status.SCHEDULED if scheduled else Status.QUEUED
    application = turn_name(head.application)
    everybody = range(len(head.recipients))
    hops = routes.hops_of(head, everybody)
    alone = routes.alone(head, dict(enumerate(hops))) if len(hops) > 1 else {}
    groups = grouped(everybody, hops, alone)
    return tuple(
        Leg(
            state=LegState.WAITING if scheduled else LegState.READY,
            message_class=head.message_class,
            hop=hop,
            statuses=(status,) * len(group),
            recipients=tuple(group) if len(groups) > 1 else (),
            give_up_ms=head.give_up_ms,
            due_ms=(head.send_at_ms or 0) if scheduled else 0,
            flags=LegFlag.HOLD if head.on_uncertain == "hold" else LegFlag(0),
            legs=len(groups),
            application=application,
        )
        for hop, group in groups
    )


def grouped(
    indices: Sequence[int], hops: Sequence[str], apart: Mapping[int, str] | None = None
) -> list[tuple[str, list[int]]]:
    """(hop, recipients) for each leg, in the order of their first recipients; those in `apart`
    with others that have the same mark there only."""
    by_hop: dict[tuple[str, str], list[int]] = {}
    for index, hop in zip(indices, hops, strict=True):
        by_hop.setdefault((hop, (apart or {}).get(index, "")), []).append(index)
    return [
        (hop, group[at : at + MAX_RECIPIENTS])
        for (hop, _), group in by_hop.items()
        for at in range(0, len(group), MAX_RECIPIENTS)
    ]
