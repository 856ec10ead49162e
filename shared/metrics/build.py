"""Which release runs: the same metric in every process."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector


class BuildCollector(Collector):
    """`posthaste_build_info`."""

    def collect(self) -> Iterator[Metric]:
        """The version."""
        build = InfoMetricFamily("posthaste_build", "The release that runs.")
        build.add_metric([], {"version": version("posthaste")})
        yield build
