"""What the acts of signing in stand on, built once a process."""

from __future__ import annotations

import hashlib
import secrets
from urllib.parse import urlsplit

import msgspec

from shared.accounts.actor import Client
from shared.accounts.links import Links
from shared.accounts.mailed_codes import MailedCodes
from shared.accounts.passwords import Passwords
from shared.accounts.sealing import Sealer
from shared.accounts.sessions import Sessions
from shared.accounts.throttle import Throttle, by_account, by_device, by_network
from shared.accounts.totp import step_of
from shared.accounts.user import User
from shared.accounts.users import Users
from shared.clock import Clock
from shared.console_settings import ConsoleSettings
from shared.store.records import Records

MOST_DEVICES = 10


class Accounts(msgspec.Struct, frozen=True):
    """Users and all that belongs to them."""

    records: Records
    clock: Clock
    settings: ConsoleSettings
    users: Users
    sessions: Sessions
    passwords: Passwords
    throttle: Throttle
    links: Links
    codes: MailedCodes
    sealer: Sealer

    @property
    def issuer(self) -> str:
        """What an authenticator app calls this system."""
        host = urlsplit(self.settings.url).hostname
        return f"Posthaste ({host})" if host else "Posthaste"

    def step_of(self, seed: bytes, code: str) -> int | None:
        """The time step of an app's code, now."""
        return step_of(seed, code, self.clock.now_ms())


def accounts_of(
    records: Records, clock: Clock, settings: ConsoleSettings, keys: tuple[bytes, ...]
) -> Accounts:
    """All of it; `keys` are those of `console_keys_of`."""
    return Accounts(
        records,
        clock,
        settings,
        Users(records),
        Sessions(records, clock, settings),
        Passwords(settings),
        Throttle(records, clock),
        Links(records, clock),
        MailedCodes(records, clock, keys),
        Sealer(keys),
    )


def device_digest(token: str) -> bytes:
    """How a browser is kept."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def knows(user: User, client: Client) -> bool:
    """Whether this browser has signed in to the account before."""
    return bool(client.device) and device_digest(client.device) in user.devices


def subjects_of(login: str, user: User | None, client: Client) -> tuple[str, ...]:
    """What a try is counted by: the account and the address, or the browser that is known."""
    if user is not None and knows(user, client):
        return (by_device(login, device_digest(client.device)),)
    return by_account(login), by_network(client.address)


def seen(accounts: Accounts, user: User, client: Client) -> tuple[User, str]:
    """The user, signed in just now, and a token for the browser's cookie; empty: it has one."""
    now = accounts.clock.now_ms()
    if knows(user, client):
        return msgspec.structs.replace(user, seen_ms=now), ""
    token = secrets.token_urlsafe(32)
    devices = (*user.devices, device_digest(token))[-MOST_DEVICES:]
    return msgspec.structs.replace(user, seen_ms=now, devices=devices), token
