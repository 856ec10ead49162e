"""What a relay's entry must be: each rule is a `ConfigError` that says what to write instead."""

from __future__ import annotations

import math
import re
import shlex

import msgspec

from shared.errors import ConfigError
from shared.hosts import address, host, is_greeting, is_loopback
from shared.outgoing_settings import RelaySettings, TimeoutSettings

MODES = ("implicit", "required", "opportunistic", "none")
MECHANISMS = ("plain", "login", "cram-md5", "xoauth2")
DSN_WISHES = ("failure", "failure,delay", "never", "off")
MOST = 10_000
"""Of connections, and of messages on one: more is a slip of the finger."""
IMPLICIT_PORT = 465

_HEADER = re.compile(r"[!-9;-~]+\Z")
_CONTROL = re.compile("[\x00-\x1f\x7f]")


def check_place(entry: RelaySettings, scheme: str, name: str, port: int, tls: str) -> None:
    """Where it is, and whether TLS is spoken there the way the entry says."""
    if tls not in MODES:
        raise ConfigError(f"tls must be one of {', '.join(MODES)}")
    if scheme == "smtps" and tls != "implicit":
        raise ConfigError("smtps:// is TLS from the start: leave tls out, or write smtp://")
    if port == IMPLICIT_PORT and tls != "implicit" and not is_loopback(name):
        raise ConfigError(
            'port 465 speaks TLS from the start: use tls = "implicit",'
            " or port 587 for TLS by STARTTLS"
        )
    if entry.source_address:
        source, literal = address(entry.source_address), address(name)
        if source is None:
            raise ConfigError("source_address must be an IP address of this machine")
        if literal is not None and literal.version != source.version:
            raise ConfigError(
                f"source_address is IPv{source.version}, but the host is IPv{literal.version}:"
                " give one of the host's kind"
            )


def check_sign_in(entry: RelaySettings, tls: str, user: str, password: str) -> None:
    """How it signs in, and that no secret goes where others can read it."""
    token = bool(entry.token_file or entry.token_command)
    if entry.auth not in ("", *MECHANISMS):
        raise ConfigError(f"auth must be one of {', '.join(MECHANISMS)}")
    if entry.token_file and entry.token_command:
        raise ConfigError("give token_file or token_command, not both")
    if token != (entry.auth == "xoauth2"):
        raise ConfigError('auth = "xoauth2" goes with a token_file or a token_command')
    if token and password:
        raise ConfigError("a token takes the place of the password: give one of them")
    if bool(user) != (bool(password) or token):
        raise ConfigError("user and its password (or token) go together")
    if _CONTROL.search(user + password):
        raise ConfigError("user and password must not have control characters in them")
    _check_token_command(entry.token_command)
    if user and tls == "opportunistic":
        raise ConfigError(
            "opportunistic TLS verifies nothing, so there is no signing in over it:"
            ' use tls = "required"'
        )
    if user and tls == "none" and not entry.insecure_auth:
        raise ConfigError(
            'without TLS the password can be read on the way: use tls = "required",'
            " or say insecure_auth = true"
        )


def _check_token_command(text: str) -> None:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"token_command: {error}") from error
    if text and not words:
        raise ConfigError("token_command is blank: give a command, or leave it out")


def check_numbers(entry: RelaySettings) -> None:
    """Limits and times."""
    for name in ("connections", "messages_per_connection"):
        if not 1 <= getattr(entry, name) <= MOST:
            raise ConfigError(f"{name} is a number from 1 to {MOST}")
    for name in ("max_age_seconds", "idle_seconds", "min_bytes_per_second"):
        _check_positive(name, getattr(entry, name))
    if not (entry.rate >= 0 and math.isfinite(entry.rate)):
        raise ConfigError("rate is legs a second; 0 for no limit")
    for field in msgspec.structs.fields(TimeoutSettings):
        _check_positive(f"timeouts.{field.name}", getattr(entry.timeouts, field.name))


def _check_positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"{name} must be a number above 0")


def check_texts(entry: RelaySettings) -> None:
    """Names and wishes."""
    if entry.ehlo_name and not is_greeting(entry.ehlo_name):
        raise ConfigError("ehlo_name must be a host name, or an address in brackets")
    if entry.tls_name and entry.tls_name != host(entry.tls_name):
        raise ConfigError("tls_name must be a host name, lower case")
    if entry.dsn not in DSN_WISHES:
        raise ConfigError(f"dsn must be one of: {'; '.join(DSN_WISHES)}")
    for header in entry.dkim_skip_headers:
        if not _HEADER.match(header):
            raise ConfigError(f"dkim_skip_headers: {header!r} is not a header's name")
        if header.lower() == "from":
            raise ConfigError("dkim_skip_headers: From is always signed (RFC 6376 section 5.4)")
    if entry.client_key and not entry.client_certificate:
        raise ConfigError("client_key needs a client_certificate")
