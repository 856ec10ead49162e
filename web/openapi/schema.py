"""Short words for JSON Schema (draft 2020-12), so that a description reads as a list of fields.

Each gives a plain dict. `**more` are further keywords of JSON Schema, by their own names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Schema = dict[str, Any]


def _of(kind: str, description: str, more: Mapping[str, Any]) -> Schema:
    return {"type": kind, **({"description": description} if description else {}), **more}


def text(description: str = "", **more: Any) -> Schema:
    """A string."""
    return _of("string", description, more)


def whole(description: str = "", **more: Any) -> Schema:
    """A whole number."""
    return _of("integer", description, more)


def number(description: str = "", **more: Any) -> Schema:
    """A number."""
    return _of("number", description, more)


def flag(description: str = "", **more: Any) -> Schema:
    """True or false."""
    return _of("boolean", description, more)


def choice(values: Sequence[str], description: str = "", **more: Any) -> Schema:
    """One of these strings."""
    return _of("string", description, {"enum": list(values), **more})


def many(items: Schema, description: str = "", **more: Any) -> Schema:
    """A list."""
    return _of("array", description, {"items": items, **more})


def time(description: str = "", **more: Any) -> Schema:
    """RFC 3339: with an offset in a request, in UTC with milliseconds in an answer."""
    return text(description, format="date-time", **more)


def answer(fields: Mapping[str, Schema], description: str = "", **more: Any) -> Schema:
    """An object of an answer. It always has every field, but for those of `optional`."""
    optional = more.pop("optional", ())
    there = [name for name in fields if name not in optional]
    return _of("object", description, {"properties": dict(fields), "required": there, **more})


def request(
    fields: Mapping[str, Schema], description: str = "", required: Sequence[str] = (), **more: Any
) -> Schema:
    """An object of a request: other fields than these are refused."""
    told = {"required": list(required)} if required else {}
    return _of(
        "object",
        description,
        {"properties": dict(fields), **told, "additionalProperties": False, **more},
    )


def ref(name: str, description: str = "") -> Schema:
    """The component of this name."""
    told = {"description": description} if description else {}
    return {"$ref": f"#/components/schemas/{name}", **told}


def maybe(schema: Schema) -> Schema:
    """The same, or null."""
    if "$ref" in schema:
        alone = {"$ref": schema["$ref"]}
        told = {"description": schema["description"]} if "description" in schema else {}
        return {**told, "anyOf": [alone, {"type": "null"}]}
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **more}


def page(items: str, description: str) -> Schema:
    """A page of a list."""
    following = maybe(text("Where the next page begins; null: this is the last one."))
    return answer({"data": many(ref(items)), "next_cursor": following}, description)
