"""That there is always an owner: whoever changes who is one does so in one step with this record.

So two processes that each take away one of the last two owners cannot both succeed, and a link for
the first owner counts only as long as there is none.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.accounts.user import User
from shared.accounts.users import Users
from shared.store.records import Change, Records

KIND = "guards"
_KEY = b"owners"


def stands(user: User) -> bool:
    """Whether it is an owner who can sign in."""
    return user.role == "owner" and not user.disabled and bool(user.password)


def is_last(user: User, everybody: Iterable[User]) -> bool:
    """Whether no other owner could sign in."""
    return stands(user) and not any(stands(each) for each in everybody if each.id != user.id)


def has_owner(users: Users) -> bool:
    """Whether somebody can sign in as owner; a user who cannot be read may be one."""
    found, unreadable = users.read()
    return unreadable > 0 or any(map(stands, found))


def guard(records: Records) -> Change:
    """To be read before looking who is an owner, and written with the change of it."""
    found = records.get(KIND, _KEY)
    count = int(found) if found is not None and found.isdigit() else 0
    return Change(KIND, _KEY, str(count + 1).encode(), found)
