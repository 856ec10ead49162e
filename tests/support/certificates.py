"""Certificates for tests: an authority, and servers' certificates good and bad."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


class Authority:
    """An authority whose certificate is the file `ca_file`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ca = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)

    def server(
        self,
        *names: str,
        expired: bool = False,
        client_certificates: bool = False,
        common_name: str | None = None,
    ) -> ssl.SSLContext:
        """A server's context with a certificate for `names` (default 127.0.0.1, localhost)."""
        until = datetime.now(UTC) - timedelta(days=1) if expired else None
        certificate = self._ca.issue_cert(
            *(names or ("127.0.0.1", "localhost")),
            common_name=common_name,
            not_before=datetime(2020, 1, 1, tzinfo=UTC),
            not_after=until,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        if client_certificates:
            self._ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self, name: str) -> str:
        """A PEM file with a client's certificate and key."""
        path = self._directory / f"{name}.pem"
        self._ca.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(path))
        return str(path)

    def files(self, name: str) -> tuple[str, str]:
        """Certificate chain and key of a server, as two PEM files."""
        certificate = self._ca.issue_cert(name, "127.0.0.1")
        chain, key = self._directory / f"{name}.chain.pem", self._directory / f"{name}.key.pem"
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        key.write_bytes(certificate.private_key_pem.bytes())
        return str(chain), str(key)
