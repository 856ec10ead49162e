"""Where a leg goes: today one relay, whose legs carry the hop `relay`.

Pure. A leg for any other hop (its relay was removed, its site changed) is given back as the legs
that replace it.
"""

from __future__ import annotations

import msgspec

from shared.model.leg import Leg
from shared.routing import RELAY_HOP


def reroute(leg: Leg) -> tuple[Leg, ...]:
    """The legs that replace `leg`; empty when its hop is one that we can deliver to."""
    if leg.hop == RELAY_HOP:
        return ()
    return (msgspec.structs.replace(leg, hop=RELAY_HOP, recipients=leg.indices()),)
