"""A message once more, as a new draft that can be corrected: from the sender's own draft while that
is kept, else from what the store still has of the message."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

import msgspec

from shared.compression import unpack_content
from shared.ids import parse_external
from shared.model.message import Address, Content, Head, Recipient, UnknownFormat
from shared.model.status import Status
from shared.store.ports import Stored
from web.console.composing import Composing
from web.console.desk import Visitor
from web.console.draft import Draft, File, NoRoom
from web.console.rich import clean
from web.console.typed import Typed
from web.errors import Problem

REFUSED = frozenset(
    {Status.BOUNCED, Status.EXPIRED, Status.SUPPRESSED, Status.CANCELLED, Status.DEAD}
)
"""Whoever has one of these has surely not got it."""
OWN_MAIL = "posthaste"
"""The application of our own mail, with links and codes that are for its readers only."""
_SPECIAL = frozenset('"\\,;:<>()[]@.')


class Again(msgspec.Struct, frozen=True):
    """The new draft, and what its page says about it."""

    draft: str
    note: str = ""


def again(composing: Composing, visitor: Visitor, message: str, *, everybody: bool) -> Again:
    """A draft for the recipients who have not got it, or for everybody; asked again, the same one.

    Raises a `Problem` 404 where neither draft nor message is there.
    """
    drafts, user = composing.drafts, visitor.user.id
    mine, key = drafts.of(user), f"{message} {'all' if everybody else 'refused'}"
    for draft in mine:
        if draft.again == key and not draft.message:
            return Again(draft.id)
    message_id = parse_external(message)
    spool = composing.desk.context.services.spool
    stored = spool.get(message_id) if message_id is not None else None
    old = next((draft for draft in mine if draft.message == message), None)
    typed = drafts.typed(old) if old else None
    files = [(file, drafts.content(file)) for file in old.files] if old and typed else []
    note = ""
    if typed is None:
        if stored is None:
            raise Problem(404, "not_found", "There is no such message, or not any more.")
        content = _content(composing, visitor, stored)
        if content is None:
            note = "again-empty"
        typed = _typed_of(stored.head, content or Content(), composing.desk.console.from_domains)
        files = list(_files_of(content or Content()))
    if stored is not None:
        typed = _addressed(typed, stored, everybody=everybody)
    try:
        return _new(composing, visitor, key, typed, files, note)
    except NoRoom as error:
        raise Problem(409, "no_room", str(error)) from error


def _new(
    composing: Composing,
    visitor: Visitor,
    key: str,
    typed: Typed,
    files: Iterable[tuple[File, bytes | None]],
    note: str,
) -> Again:
    drafts, user = composing.drafts, visitor.user.id
    draft_id = drafts.new_id(user)
    typed = msgspec.structs.replace(typed, when="now", send_at="", deliver_by="")
    drafts.save(user, draft_id, typed, again=key)
    for file, content in files:
        if content is None:
            note = note or "again-files-gone"
            continue
        copy = msgspec.structs.replace(file, id=f"file_{secrets.token_hex(12)}")
        try:
            drafts.add_file(user, draft_id, copy, content)
        except NoRoom:
            note = note or "again-files-gone"
    return Again(draft_id, note)


def of_draft(draft: Draft) -> tuple[str, bool]:
    """The message that a draft corrects (empty: none), and whether it is addressed to all."""
    message, _, whom = draft.again.partition(" ")
    return message, whom == "all"


def _content(composing: Composing, visitor: Visitor, stored: Stored) -> Content | None:
    """What the store still has of it, if that may be seen."""
    if not visitor.user.may("content") or stored.head.application == OWN_MAIL:
        return None
    packed = composing.desk.context.services.spool.content(stored.id)
    try:
        return None if packed is None else unpack_content(packed)
    except UnknownFormat:
        return None


def _typed_of(head: Head, content: Content, domains: tuple[str, ...]) -> Typed:
    local, _, domain = head.sender.email.rpartition("@")
    ours = not domains or domain in domains
    typed = Typed(
        from_name=head.sender.name if ours else "",
        from_local=local if ours else "",
        from_domain=domain if ours else domains[0],
        from_email=head.sender.email,
        reply_to=tuple(_box(each) for each in content.reply_to),
        subject=head.subject,
        text=content.text or "",
        html=clean(content.html or ""),
        plain=content.html is None and content.text is not None,
        message_class=head.message_class,
        on_uncertain=head.on_uncertain,
    )
    return _to(typed, head.recipients)


def _files_of(content: Content) -> Iterable[tuple[File, bytes]]:
    for each in content.attachments:
        if each.content:
            yield File("", each.filename, each.content_type, len(each.content)), each.content


def _addressed(typed: Typed, stored: Stored, *, everybody: bool) -> Typed:
    """To the recipients who have not got it, as the message names them; where there are none of
    these, to all."""
    statuses, people = stored.statuses(), stored.head.recipients
    chosen = [each for at, each in enumerate(people) if statuses.get(at) in REFUSED]
    return _to(typed, people if everybody or not chosen else chosen)


def _to(typed: Typed, people: Sequence[Recipient]) -> Typed:
    boxes = {
        kind: tuple(_box(each) for each in people if each.kind == kind)
        for kind in ("to", "cc", "bcc")
    }
    return msgspec.structs.replace(typed, **boxes)


def _box(each: Address | Recipient) -> str:
    """An address as one types it."""
    if not each.name:
        return each.email
    name = each.name
    if _SPECIAL & set(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{name} <{each.email}>"
