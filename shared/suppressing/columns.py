"""What the columns of a CSV file mean, ours and those of other providers' exports. Pure.

Names count without case, spaces, hyphens and underscores. Known exports, by their documentation:

- SendGrid, bounces (`status`, `reason`, `email`, `created`), invalid addresses, spam reports
  (`ip`), unsubscribes: https://www.twilio.com/docs/sendgrid/api-reference/bounces-api
- Mailgun, bounces (`address`, `code`, `error`, `created_at`), complaints, unsubscribes (`tags`):
  https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/bounces
- Postmark (`EmailAddress`, `SuppressionReason`, `Origin`, `CreatedAt`):
  https://postmarkapp.com/developer/api/suppressions-api
- Amazon SES (`EmailAddress`, `Reason`, `LastUpdateTime`):
  https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SuppressedDestinationSummary.html
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Sequence
from datetime import UTC

import msgspec

from shared.addresses import mailbox
from shared.model.suppression import Reason
from shared.suppressing.cells import unguarded
from shared.suppressing.entry import EVERYBODY, Wrong, tidy_detail
from shared.times import shown

COLUMNS = (
    "address", "application", "list", "reason", "source", "created_at", "expires_at", "detail",
)  # fmt: skip
"""Of an export, in this order."""
_NAMES = {
    **{name.replace("_", ""): name for name in COLUMNS},
    "email": "address", "emailaddress": "address",
    "suppressionreason": "reason",
    "created": "created_at", "lastupdatetime": "created_at",
    "error": "detail",
    "tag": "tags", "tags": "tags",
    "code": "code", "status": "status", "ip": "ip", "origin": "origin", "": "",
}  # fmt: skip
_REASONS: dict[str, Reason] = {
    "bounce": "bounce", "bounced": "bounce", "hardbounce": "bounce",
    "complaint": "complaint", "spamcomplaint": "complaint", "spam": "complaint",
    "spamreport": "complaint",
    "unsubscribe": "unsubscribe", "unsubscribed": "unsubscribe",
    "manual": "manual", "manualsuppression": "manual",
}  # fmt: skip
_NOT_IN_NAMES = re.compile(r"[\s_-]")
_EPOCH = re.compile(r"\d{9,10}(?:\.\d{1,9})?\Z", re.ASCII)
_MONTH = re.compile(r"\d [A-Za-z]{3} \d")
_SQL_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,9})?)(?: ?(?:Z|UTC))?\Z", re.ASCII
)


class Header(msgspec.Struct, frozen=True):
    """What the columns of a file mean."""

    names: tuple[str, ...]
    """As they are in the file."""
    columns: tuple[str, ...]
    """The same, as ours; empty for one that is not looked at."""
    reason: Reason
    """Where a row says none."""
    reason_is_text: bool = False
    """Whether its reason may be what a server said."""

    def plausible(self, cells: list[str]) -> bool:
        """Whether cells that were read from several lines can be a row."""
        if len(cells) != len(self.columns):
            return False
        return not any(
            "\n" in cell and column not in ("detail", "reason", "")
            for column, cell in zip(self.columns, cells, strict=True)
        )

    def name_of(self, column: str) -> str:
        """What the file calls one of our columns."""
        for ours, name in zip(self.columns, self.names, strict=True):
            if ours == column:
                return name
        return column


def header_of(
    cells: Sequence[str], reason: Reason | None, *, ignore: bool
) -> tuple[Header | None, list[Wrong]]:
    """The header, or why it is none. `reason` is what rows have that say none; `ignore` columns
    that nobody knows."""
    names = tuple(cell.strip() for cell in cells)
    columns = tuple(_NAMES.get(_NOT_IN_NAMES.sub("", name).lower(), "?") for name in names)
    if any(mailbox(name) for name in names):
        text = "The first row must name the columns, such as address,reason; there is an address."
        return None, [Wrong("", "no_header", text)]
    wrong: list[Wrong] = []
    if "address" not in columns:
        text = f"No column holds addresses: name it address or email. Known: {', '.join(COLUMNS)}."
        wrong.append(Wrong("address", "required", text))
    for at, (name, column) in enumerate(zip(names, columns, strict=True)):
        if column == "?" and not ignore:
            text = f"Known: {', '.join(COLUMNS)}. Say ignore_columns for a file that has others."
            wrong.append(Wrong(shown_name(name), "unknown_column", text))
        if column not in ("", "?") and column in columns[:at]:
            wrong.append(Wrong(shown_name(name), "duplicate_column", f"Another one is {column}."))
    if wrong:
        return None, wrong
    kept = tuple("" if column == "?" else column for column in columns)
    return Header(
        tuple(map(shown_name, names)),
        kept,
        reason or _usual_reason(frozenset(kept)),
        reason is not None or {"status", "reason"} <= set(kept),
    ), wrong


def shown_name(name: str) -> str:
    """A column's name as it may be repeated."""
    return "".join(each if each.isprintable() else "?" for each in name)[:40]


def _usual_reason(columns: frozenset[str]) -> Reason:
    """Of whose export this is one by its columns."""
    if columns & {"status", "code"}:
        return "bounce"
    if "tags" in columns:
        return "unsubscribe"
    return "complaint" if "ip" in columns else "manual"


def fields_of(header: Header, cells: Sequence[str], list_name: str) -> dict[str, str | None]:
    """A row's cells as fields that `entry_of` checks; what is empty is not there.

    `list_name` is the list of rows that say none.
    """
    said = {
        column: text
        for column, cell in zip(header.columns, cells, strict=False)
        if column and (text := unguarded(cell.strip()).strip())
    }
    fields: dict[str, str | None] = {
        name: said[name] for name in ("address", "source") if name in said
    }
    if "application" in said:
        fields["application"] = None if said["application"] == EVERYBODY else said["application"]
    tag = "" if said.get("tags") == "*" else said.get("tags", "")
    fields["list"] = said.get("list", tag) or list_name
    for name in ("created_at", "expires_at"):
        if name in said and (at := _rfc3339(said[name])):
            fields[name] = at
    return {**fields, **_why(header, said)}


def _why(header: Header, said: dict[str, str]) -> dict[str, str | None]:
    """Reason and detail. A reason in somebody's own words is a detail, where that may be."""
    word, detail = said.get("reason", ""), said.get("detail", "")
    reason = _REASONS.get(_NOT_IN_NAMES.sub("", word).lower(), "")
    if not word or (not reason and header.reason_is_text):
        reason, detail = header.reason, detail or word
    if reason == "manual" and said.get("origin", "").lower() == "recipient":
        reason = "unsubscribe"  # So Postmark tells who has clicked its link.
    if "code" in said and not detail.startswith(said["code"]):
        detail = f"{said['code']} {detail}"
    return {"reason": reason, **({"detail": tidy_detail(detail)} if detail else {})}


def _rfc3339(text: str) -> str | None:
    """A time as other providers write it too; as it is when it is none, None for the zero time."""
    try:
        if _EPOCH.match(text):
            return shown(int(float(text) * 1000))
        if found := _SQL_TIME.match(text):
            return f"{found[1]}T{found[2]}Z"
        if _MONTH.search(text):
            at = email.utils.parsedate_to_datetime(text)
            # The library takes the year 1, by which Mailgun says nothing, for 2001.
            return None if " 0001 " in text else at.replace(tzinfo=at.tzinfo or UTC).isoformat()
    except (ValueError, OverflowError):
        pass
    return text
