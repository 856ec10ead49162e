"""Drafts of messages in the store: what was typed, and files, each a record of its own.

A draft belongs to one user, whose id is in the draft's signed name, so another user's is as good as
none. It lasts a day from when its page was opened, whatever is done with it; once sent it is kept
for another day, to be corrected and sent again. The name is also what makes a message go once
(`web.console.views.compose`), and that holds where the draft itself is gone.

What a user's drafts are is one small record (`draft-lists`), changed as it was read. The bytes of
all files of all users are counted beside it in the same step; what has ended by itself is taken
off when the count has come to the limit, from the lists as they are then.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence

import msgspec

from shared.accounts.users import TooBusy
from shared.clock import Clock
from shared.store.records import ANY, Audited, Change, Records
from web.console.draft import (
    DAY_MS,
    Draft,
    Ended,
    File,
    Limits,
    NoDraft,
    NoRoom,
    Total,
    WasSent,
    pack_list,
    pack_total,
    pack_typed,
    unpack_list,
    unpack_total,
    unpack_typed,
)
from web.console.typed import Typed

BODIES, FILES, LISTS, TOTALS = "drafts", "draft-files", "draft-lists", "draft-totals"
MOST = 10
"""Drafts of one user that are not sent; as many that are."""
_TRIES = 20
_AT_ONCE = 90
"""Files that go in one write."""
_ID = re.compile(r"draft_([0-9a-f]{12})([0-9a-f]{20})([0-9a-f]{32})\Z")
_TOTAL = b"bytes"
_FULL = "There is no room left for attachments. Delete drafts, or try later."
_Changed = tuple[tuple[Draft, ...], list[Change]]


class Drafts:
    """Everybody's drafts. Any method may raise the `StoreError` family, or `TooBusy`."""

    def __init__(self, records: Records, clock: Clock, key: bytes, limits: Limits) -> None:
        self._records = records
        self._clock = clock
        self._key = key
        self.limits = limits

    def new_id(self, user_id: str) -> str:
        """A name for a draft of this user. Nothing is stored yet."""
        body = f"{self._clock.now_ms():012x}{secrets.token_hex(10)}"
        return f"draft_{body}{self._mark(user_id, body)}"

    def of(self, user_id: str) -> list[Draft]:
        """A user's drafts, the one saved last first."""
        found = self._standing(unpack_list(self._records.get(LISTS, user_id.encode())))
        return sorted(found, key=lambda draft: -draft.saved_ms)

    def find(self, user_id: str, draft_id: str) -> Draft:
        """The draft, or an empty one that is not stored yet. Raises `NoDraft`."""
        for draft in self.of(user_id):
            if draft.id == draft_id:
                return draft
        match = _ID.match(draft_id)
        if match is None or not hmac.compare_digest(
            self._mark(user_id, match[1] + match[2]), match[3]
        ):
            raise NoDraft(draft_id)
        draft = Draft(draft_id, int(match[1], 16), 0)
        if draft.ends_ms <= self._clock.now_ms():
            raise Ended(draft_id)
        return draft

    def typed(self, draft: Draft) -> Typed | None:
        """What was typed; None where nothing was saved."""
        packed = self._records.get(BODIES, draft.id.encode())
        return None if packed is None else unpack_typed(packed)

    def save(self, user_id: str, draft_id: str, typed: Typed, *, again: str = "") -> Draft:
        """Store what was typed. Raises `NoDraft`, `WasSent`, `NoRoom`."""

        def saved(draft: Draft) -> Draft:
            return msgspec.structs.replace(
                draft,
                saved_ms=self._clock.now_ms(),
                subject=typed.subject[:100],
                again=again or draft.again,
            )

        return self._change(user_id, draft_id, saved, typed=typed)

    def add_file(self, user_id: str, draft_id: str, file: File, content: bytes) -> Draft:
        """Store an attachment. Raises `NoDraft`, `WasSent`, `NoRoom`."""
        self._make_room(len(content))

        def added(draft: Draft) -> Draft:
            if len(draft.files) >= self.limits.files:
                raise NoRoom(f"A message may have {self.limits.files} attachments.")
            if draft.size + file.size > self.limits.draft_bytes:
                raise NoRoom("With it the attachments would be larger than a message may be.")
            now = self._clock.now_ms()
            return msgspec.structs.replace(draft, saved_ms=now, files=(*draft.files, file))

        return self._change(user_id, draft_id, added, also=[(file, content)])

    def remove_file(self, user_id: str, draft_id: str, file_id: str) -> Draft:
        """Take an attachment away, if it is there. Raises `NoDraft`, `WasSent`."""

        def removed(draft: Draft) -> Draft:
            left = tuple(file for file in draft.files if file.id != file_id)
            return msgspec.structs.replace(draft, files=left, saved_ms=self._clock.now_ms())

        return self._change(user_id, draft_id, removed)

    def content(self, file: File) -> bytes | None:
        """What is in an attachment; None: it is gone."""
        return self._records.get(FILES, file.id.encode())

    def sent(self, user_id: str, draft_id: str, message: str, audited: Sequence[Audited]) -> bool:
        """Note what it was sent as; False: that was noted before. Raises `NoDraft`."""
        now = self._clock.now_ms()

        def noted(draft: Draft) -> Draft:
            return msgspec.structs.replace(draft, message=message, sent_ms=now, saved_ms=now)

        try:
            draft = self._change(user_id, draft_id, noted, audited=audited)
        except WasSent:
            return False
        body = self._records.get(BODIES, draft_id.encode())
        if body is not None:  # It lasts as long as the rest.
            self._records.write([Change(BODIES, draft_id.encode(), body, body, draft.ends_ms)])
        return True

    def delete(self, user_id: str, draft_id: str) -> None:
        """Forget it, and its files. Another user's stays where it is."""

        def without(drafts: tuple[Draft, ...]) -> _Changed:
            return tuple(each for each in drafts if each.id != draft_id), []

        self._write(user_id, without)

    def _change(
        self,
        user_id: str,
        draft_id: str,
        changed: Callable[[Draft], Draft],
        *,
        typed: Typed | None = None,
        also: Sequence[tuple[File, bytes]] = (),
        audited: Sequence[Audited] = (),
    ) -> Draft:
        """One draft as `changed` makes it, with what was typed and the content of files."""
        fresh = found = self.find(user_id, draft_id)

        def with_it(drafts: tuple[Draft, ...]) -> _Changed:
            nonlocal found
            before = next((each for each in drafts if each.id == draft_id), fresh)
            if before.message:
                raise WasSent(before.message)
            found = changed(before)
            others = tuple(each for each in drafts if each.id != draft_id)
            changes = [
                Change(FILES, file.id.encode(), content, None, before.begun_ms + 2 * DAY_MS)
                for file, content in also
            ]
            if typed is not None:
                body = pack_typed(typed)
                changes.append(Change(BODIES, draft_id.encode(), body, ANY, found.ends_ms))
            return _fitting(others, found), changes

        self._write(user_id, with_it, audited)
        return found

    def _write(
        self,
        user_id: str,
        changed: Callable[[tuple[Draft, ...]], _Changed],
        audited: Sequence[Audited] = (),
    ) -> None:
        """Change a user's list, the count of bytes, and what goes with drafts that are gone."""
        key = user_id.encode()
        for _ in range(_TRIES):
            packed, counted = self._records.get(LISTS, key), self._records.get(TOTALS, _TOTAL)
            before = unpack_list(packed)
            after, changes = changed(self._standing(before))
            ends = max((draft.begun_ms for draft in after), default=0) + 2 * DAY_MS
            value = pack_list(after) if after else None
            changes.append(Change(LISTS, key, value, packed, ends if after else None))
            grown = _size(after) - _size(before)
            if grown:
                self._fit(counted, grown)
                changes.append(_count(counted, grown))
            drafts, files = _gone(before, after)
            changes += [Change(BODIES, draft.encode(), None, ANY) for draft in drafts]
            gone = [Change(FILES, file.encode(), None, ANY) for file in files]
            room = _AT_ONCE - len(changes)
            if self._records.write([*changes, *gone[:room], _SWEEP], audited):
                for at in range(room, len(gone), _AT_ONCE):
                    self._records.write(gone[at : at + _AT_ONCE])
                return
        raise TooBusy(user_id)

    def _fit(self, counted: bytes | None, grown: int) -> None:
        """`_make_room` has seen to it, but others may have been faster since."""
        if grown > 0 and unpack_total(counted).size + grown > self.limits.all_bytes:
            raise NoRoom(_FULL)

    def _standing(self, drafts: tuple[Draft, ...]) -> tuple[Draft, ...]:
        now = self._clock.now_ms()
        return tuple(draft for draft in drafts if draft.ends_ms > now)

    def _make_room(self, size: int) -> None:
        """Raise `NoRoom` unless so many bytes fit beside all others; copies of sent messages give
        way, the oldest first."""
        counted = self._records.get(TOTALS, _TOTAL)
        if unpack_total(counted).size + size <= self.limits.all_bytes:
            return
        lists = {key: unpack_list(each) for key, each in self._records.all(LISTS).items()}
        total = sum(_size(drafts) for drafts in lists.values())
        # What has changed meanwhile has changed the count, and then this is not written.
        self._records.write([_count(counted, total - unpack_total(counted).size)])
        now = self._clock.now_ms()
        old = [
            (draft.ends_ms > now, draft.sent_ms, draft, key.decode())
            for key, drafts in lists.items()
            for draft in drafts
            if draft.files and (draft.message or draft.ends_ms <= now)
        ]
        for _, _, draft, owner in sorted(old, key=lambda each: each[:2]):
            if total + size <= self.limits.all_bytes:
                return
            self.delete(owner, draft.id)
            total -= draft.size
        if total + size > self.limits.all_bytes:
            raise NoRoom(_FULL)

    def _mark(self, user_id: str, body: str) -> str:
        text = f"{user_id}\0{body}".encode()
        return hmac.digest(self._key, text, hashlib.sha256).hex()[:32]


_SWEEP = Change(FILES, b"none", None, ANY)
"""A write of a kind takes what has ended of it out of the store."""


def _fitting(others: tuple[Draft, ...], draft: Draft) -> tuple[Draft, ...]:
    """The drafts of a user with a new or changed one. Raises `NoRoom`."""
    waiting = [each for each in others if not each.message]
    if not draft.message and len(waiting) >= MOST:
        raise NoRoom(f"You have {MOST} drafts, which is the most: delete one, and this is kept.")
    sent = sorted((each for each in others if each.message), key=lambda each: each.sent_ms)
    return (*waiting, *sent[-MOST + 1 :], draft)


def _gone(before: tuple[Draft, ...], after: tuple[Draft, ...]) -> tuple[list[str], list[str]]:
    """Drafts and files that were there."""
    drafts = {draft.id for draft in before} - {draft.id for draft in after}
    left = {file.id for draft in after for file in draft.files}
    files = [file.id for draft in before for file in draft.files if file.id not in left]
    return sorted(drafts), files


def _size(drafts: tuple[Draft, ...]) -> int:
    return sum(draft.size for draft in drafts)


def _count(packed: bytes | None, grown: int) -> Change:
    """So many bytes more."""
    before = unpack_total(packed)
    after = Total(max(0, before.size + grown), before.revision + 1)
    return Change(TOTALS, _TOTAL, pack_total(after), packed)
