"""Signing in: AUTH PLAIN, LOGIN, CRAM-MD5 and XOAUTH2 (RFC 4954, RFC 4616, RFC 2195).

`sign_in` chooses what the server offers and the relay's entry allows; `shared.relays` has made sure
that there is verified TLS, or that the entry says otherwise. Secrets never enter an error.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import shlex
from collections.abc import Awaitable, Callable
from pathlib import Path

from shared.relays import Relay
from workers.smtp.replies import check_text
from workers.smtp.types import Broken, OutOfStep, Reply

TOKEN_SECONDS = 30.0
MAX_TOKEN_BYTES = 16 * 1024
CHALLENGE = 334
ACCEPTED = 235
REFUSED = 535

Ask = Callable[[str], Awaitable[tuple[Reply, list[str]]]]
"""Sends a line, gives the reply and the text of its lines."""


class Tokens:
    """The OAuth token of a relay: its file is read, or what its command printed is kept.

    One command runs at a time.
    """

    def __init__(self, relay: Relay) -> None:
        self._file = relay.token_file
        self._command = shlex.split(relay.token_command)
        self._kept = ""
        self._lock = asyncio.Lock()

    async def get(self, refused: str = "") -> str:
        """A token that is not `refused`, unless there is no other. Raises `Broken`."""
        async with self._lock:
            if self._file:  # Whoever writes it may have replaced it.
                return await self._from_file()
            if not self._kept or self._kept == refused:
                self._kept = await self._from_command()
            return self._kept

    async def _from_file(self) -> str:
        try:
            text = await asyncio.to_thread(Path(self._file).read_text, encoding="ascii")
        except (OSError, UnicodeError) as error:
            raise Broken("the token file cannot be read") from error
        return _checked(text)

    async def _from_command(self) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            raise Broken("the token command cannot be run") from error
        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                text, _ = await process.communicate()
        except TimeoutError as error:
            raise Broken("the token command takes too long") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise Broken(f"the token command ended with exit code {process.returncode}")
        return _checked(text.decode("ascii", "replace"))


def _checked(text: str) -> str:
    token = text.strip()
    if not token or len(token) > MAX_TOKEN_BYTES or not token.isascii() or not token.isprintable():
        raise Broken("the token is empty or not printable ASCII")
    return token


async def sign_in(relay: Relay, offered: str, ask: Ask, tokens: Tokens) -> None:
    """Sign in with the best mechanism of `offered`. Raises `Broken`, with the server's reply."""
    check_text(relay.user + relay.password)  # Each mechanism has its own that ends a field.
    mechanisms = offered.upper().split()
    if relay.auth:
        wanted: tuple[str, ...] = (relay.auth.upper(),)
    elif relay.tls == "none":
        wanted = ("CRAM-MD5", "PLAIN", "LOGIN")  # The password itself stays here if it can.
    else:
        wanted = ("PLAIN", "LOGIN", "CRAM-MD5")
    chosen = next((each for each in wanted if each in mechanisms), None)
    if chosen is None:
        raise Broken("the server offers no way to sign in")
    if chosen == "XOAUTH2":
        reply = await _xoauth2(relay, ask, tokens)
    else:
        reply = await _WAYS[chosen](relay, ask)
    if reply.code != ACCEPTED:
        raise Broken("refused", reply)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")


async def _plain(relay: Relay, ask: Ask) -> Reply:
    reply, _ = await ask(f"AUTH PLAIN {_encoded(f'{chr(0)}{relay.user}{chr(0)}{relay.password}')}")
    return reply


async def _login(relay: Relay, ask: Ask) -> Reply:
    reply, _ = await ask("AUTH LOGIN")
    for secret in (relay.user, relay.password):
        if reply.code != CHALLENGE:
            break
        reply, _ = await ask(_encoded(secret))
    return reply


async def _cram_md5(relay: Relay, ask: Ask) -> Reply:
    reply, lines = await ask("AUTH CRAM-MD5")
    if reply.code != CHALLENGE:
        return reply
    try:
        challenge = base64.b64decode(lines[0], validate=True)
    except ValueError as error:  # Not base64, or not even ASCII.
        raise OutOfStep("protocol error") from error
    digest = hmac.new(relay.password.encode("utf-8"), challenge, "md5").hexdigest()
    reply, _ = await ask(_encoded(f"{relay.user} {digest}"))
    return reply


async def _xoauth2(relay: Relay, ask: Ask, tokens: Tokens) -> Reply:
    """A refused token is fetched anew and tried once more: it may just have expired."""
    token = await tokens.get()
    reply = await _bearer(relay.user, token, ask)
    if reply.code == REFUSED:
        fresh = await tokens.get(refused=token)
        if fresh != token:
            reply = await _bearer(relay.user, fresh, ask)
    return reply


async def _bearer(user: str, token: str, ask: Ask) -> Reply:
    reply, _ = await ask(
        f"AUTH XOAUTH2 {_encoded(f'user={user}{chr(1)}auth=Bearer {token}{chr(1) * 2}')}"
    )
    if reply.code == CHALLENGE:  # The reason, as JSON; an empty line gets the refusal itself.
        reply, _ = await ask("")
    return reply


_WAYS: dict[str, Callable[[Relay, Ask], Awaitable[Reply]]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "CRAM-MD5": _cram_md5,
}
