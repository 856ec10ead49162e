"""gunicorn's threaded worker, with an end that loses no connection.

gunicorn's own stops accepting but keeps the listening socket open until its last connection is
done: the kernel goes on completing handshakes, a load balancer sends its request, and nobody ever
answers. This one takes what has connected already, and closes the socket at once, so that whoever
comes later is refused and asks another instance.
"""

from __future__ import annotations

import select

from gunicorn.workers.gthread import ThreadWorker


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types.
    """A process of the ingest tier."""

    def set_accept_enabled(self, enabled: bool) -> None:
        """gunicorn's hook: called with False when the process has been told to stop, too."""
        if enabled or self.alive:
            super().set_accept_enabled(enabled)
            return
        for listener in self.sockets:
            listener.setblocking(False)
            while select.select([listener], [], [], 0)[0]:
                self.accept(listener)
        super().set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
