"""When a deferred leg is due again. Pure: attempts, settings, randomness in; a wait in ms out."""

from __future__ import annotations

from shared.model.message import MessageClass
from shared.settings import RetrySettings


def next_wait_ms(
    attempts: int, message_class: MessageClass, settings: RetrySettings, jitter: float
) -> int:
    """The wait after the `attempts`-th attempt (1 is the first), in ms.

    The last wait of the class's schedule repeats. `jitter` from 0 to 1 stretches the wait by up to
    `settings.jitter`, so that what was deferred together does not come back together.
    """
    schedule = settings.schedule_of(message_class)
    seconds = schedule[min(max(attempts, 1), len(schedule)) - 1]
    return int(seconds * 1000 * (1 + settings.jitter * jitter))
