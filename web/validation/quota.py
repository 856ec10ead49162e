"""Whether a message has more recipients than its application's quota ever lets through."""

from __future__ import annotations

from shared.settings import Settings
from shared.store.quotas import quota_of
from web.validation.report import Report


def check_quota(
    settings: Settings, application: str, recipients: int, field: str, report: Report
) -> None:
    """Report it at `field`: unlike a quota that is used up, waiting would not help."""
    quota = quota_of(settings, application)
    window = quota.smallest() if quota else None
    if quota and window and recipients > quota.limit(window):
        detail = f"The application may send to {quota.limit(window)} recipients a {window}."
        report.add(f"/{field}", "too_many", detail)
