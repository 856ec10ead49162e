"""When certificates run out: the files that the settings name, read at each scrape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class CertificatesCollector(Collector):
    """The earliest end of each PEM file; 0 for one that cannot be read, which is past too."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = files

    def collect(self) -> Iterator[Metric]:
        """One sample a file."""
        family = GaugeMetricFamily(
            "posthaste_certificate_expiry_timestamp_seconds",
            "When a certificate runs out; 0: its file cannot be read.",
            labels=["name"],
        )
        for name in self._files:
            family.add_metric([name], _expiry(Path(name)))
        yield family


def _expiry(path: Path) -> float:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return 0.0
    return min(each.not_valid_after_utc.timestamp() for each in found)
