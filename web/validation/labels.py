"""Tags and metadata: what a client calls its message by, kept as it is and answered again."""

from __future__ import annotations

from web.validation.report import Report, escape, line


def tags(value: object, report: Report, *, limit: int) -> tuple[str, ...]:
    """A list of at most `limit` strings; wrong ones are reported and left out."""
    if value is None:
        return ()
    if not isinstance(value, list):
        report.add("/tags", "wrong_type", "Must be a list of strings.")
        return ()
    if len(value) > limit:
        report.add("/tags", "too_many", f"At most {limit} tags.")
        return ()
    each = (line(tag, f"/tags/{index}", report, limit=128) for index, tag in enumerate(value))
    return tuple(tag for tag in each if tag is not None)


def metadata(value: object, report: Report, *, limit: int) -> dict[str, str]:
    """An object of at most `limit` strings; wrong ones are reported and left out."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        report.add("/metadata", "wrong_type", "Must be an object of strings.")
        return {}
    if len(value) > limit:
        report.add("/metadata", "too_many", f"At most {limit} keys.")
        return {}
    found = {}
    for key, content in value.items():
        pointer = f"/metadata/{escape(key)}"
        name = line(key, pointer, report, limit=64)
        item = line(content, pointer, report, limit=512)
        if name is not None and item is not None:
            found[name] = item
    return found
