"""The exporter: one process an installation that tells Prometheus what the store counts.

Apart from web and workers, so that it answers whatever state they are in. It only reads. A store
that does not answer makes it unready, never ends it. Exit code 2 for a wrong setting.
"""

from __future__ import annotations

import signal
import sys
import threading

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from shared.clock import SystemClock
from shared.config import load
from shared.errors import ConfigError, StoreError
from shared.logging import configure
from shared.metrics.build import BuildCollector
from shared.metrics.certificates import CertificatesCollector
from shared.metrics.feedback import Feedback
from shared.metrics.server import OperatorServer
from shared.metrics.spool import SpoolCollector
from shared.sentry import start_sentry
from shared.services import Services, connect
from shared.settings import Settings
from shared.shaping.shaping import Shaping

_log = structlog.get_logger(__name__)


def registry(services: Services) -> CollectorRegistry:
    """Everything the exporter tells. Raises `ConfigError`."""
    found = CollectorRegistry(auto_describe=False)
    found.register(BuildCollector())
    ProcessCollector(registry=found)
    PlatformCollector(registry=found)
    found.register(CertificatesCollector(services.settings.exporter.certificates))
    sites = Shaping(services.settings)

    def provider(site: str) -> str:
        """By the one host in the site's name (`workers.dns.site`): providers name theirs alike."""
        return sites.of_site([site.partition("~")[0]]).provider

    spool, operations = services.spool, services.operations
    domains = len(services.settings.bounces.domains)
    feedback = Feedback(services.returns, services.suppressions, domains)
    found.register(SpoolCollector(spool, operations, feedback, SystemClock(), provider))
    return found


def serve(settings: Settings) -> None:
    """Answer until SIGTERM or SIGINT. Raises `ConfigError`."""
    services = connect(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def unready() -> list[str]:
        if stop.is_set():
            return ["stopping"]
        try:
            services.spool.health()
        except StoreError:
            return ["store_unreachable"]
        return []

    server = OperatorServer(
        settings.exporter.listen, "exporter.listen", registry(services), unready=unready
    )
    server.start()
    _log.info("exporter_started", listen=settings.exporter.listen)
    stop.wait()
    server.stop()
    _log.info("exporter_stopped")


def main() -> int:
    """The entry of the process."""
    try:
        settings = load()
        configure(settings.log)
        start_sentry(settings.sentry, "exporter")
        serve(settings)
    except ConfigError as error:
        sys.stderr.write(f"posthaste exporter: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
