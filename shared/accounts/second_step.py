"""The second step: a code of the app, a recovery code, or a code by mail, told apart by its form.

What is right is a change of the user, or of the code's record, to be written with what it is for:
so a code counts once, whichever process takes it (B27).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import structlog

from shared.accounts.accounts import Accounts
from shared.accounts.levels import factor_of
from shared.accounts.recovery import left_after
from shared.accounts.totp import DIGITS, digits_of, step_of
from shared.accounts.user import User
from shared.store.records import Change

_log = structlog.get_logger(__name__)


class Checked(msgspec.Struct, frozen=True):
    """A code that was right."""

    kind: str
    """app, recovery, mail."""
    after: User
    also: Sequence[Change] = ()


def check(accounts: Accounts, user: User, session_id: str, code: str) -> Checked | None:
    """What the code changes; None: it is wrong or used, which costs a try of a mailed one."""
    if user.second_factor == "totp" and digits_of(code, DIGITS):
        return _of_app(accounts, user, code)
    left = left_after(user.recovery_codes, code)
    if left is not None:
        return Checked("recovery", msgspec.structs.replace(user, recovery_codes=left))
    if factor_of(user, accounts.settings) != "email":
        return None
    taken = accounts.codes.taken(session_id, code)
    return None if taken is None else Checked("mail", user, (taken,))


def _of_app(accounts: Accounts, user: User, code: str) -> Checked | None:
    seed = accounts.sealer.open(user.id, user.totp_seed)
    if seed is None:
        _log.error("second_factor_unreadable", user=user.id)
        return None
    step = step_of(seed, code, accounts.clock.now_ms())
    if step is None or step <= user.totp_step:
        return None
    sealed = accounts.sealer.renewed(user.id, user.totp_seed)
    return Checked("app", msgspec.structs.replace(user, totp_step=step, totp_seed=sealed))
