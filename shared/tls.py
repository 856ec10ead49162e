"""TLS contexts: of our clients, built once for each set of files, and of our servers. TLS 1.2 is
the least spoken."""

from __future__ import annotations

import ssl
from functools import lru_cache

from shared.errors import ConfigError


@lru_cache(maxsize=64)
def client_context(
    verify: bool = True, ca_file: str = "", certificate: str = "", key: str = ""
) -> ssl.SSLContext:
    """A context; unverified only for opportunistic encryption. Raises `ConfigError`.

    `ca_file` replaces the system's authorities; `certificate` and `key` are PEM files of our own.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file {ca_file}: {_why(error)}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        try:
            # A key with a pass phrase is refused instead of asking for it on the terminal.
            context.load_cert_chain(certificate, key or None, password=_no_pass_phrase)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"client_certificate {certificate}: {_why(error)}") from error
    return context


def _no_pass_phrase() -> str:
    return ""


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not usable as PEM ({error.reason or 'no certificate or key in it'})"
    return error.strerror or "not readable"


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """A context of ours that others connect to, with PEM files. Raises `ConfigError`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key or None, password=_no_pass_phrase)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"certificate {certificate}: {_why(error)}") from error
    return context
