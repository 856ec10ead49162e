"""The description as a page for people: plain HTML, without a script and without anything from
elsewhere.

Takes the document, gives HTML. What the document says is text with `code`, **bold** and lists; it
is escaped before it becomes markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from web.openapi.schema import Schema

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (_TEMPLATES / "docs.css").read_text(encoding="utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'none'; base-uri 'none';"
    " frame-ancestors 'none'"
)
_CODE = re.compile("`([^`]+)`")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_LIMITS = {
    "minLength": "{} or more characters",
    "maxLength": "at most {} characters",
    "minItems": "{} or more items",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} names",
    "minimum": "from {}",
    "maximum": "up to {}",
    "default": "default {}",
    "const": "always {}",
}


def page(document: dict[str, Any]) -> str:
    """The HTML of the whole description."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"told": told, "kind": kind, "limits": limits, "shown": shown}
    environment.globals |= {"fields": fields, "curl": curl, "name_of": name_of}
    html: str = environment.get_template("docs.html").render(
        document=document,
        groups=_groups(document),
        style=Markup(_STYLE),  # noqa: S704  # Our own file.
    )
    return html


def _groups(document: dict[str, Any]) -> list[tuple[dict[str, str], list[dict[str, Any]]]]:
    """Each tag with its operations."""
    found = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return [
        (tag, [each for each in found if tag["name"] in each["tags"]]) for tag in document["tags"]
    ]


def told(text: str) -> Markup:
    """Text of a description as HTML."""
    blocks = []
    for block in text.strip().split("\n\n"):
        lines = block.split("\n")
        if all(line.startswith("- ") for line in lines):
            items = "".join(f"<li>{_inline(line[2:])}</li>" for line in lines)
            blocks.append(f"<ul>{items}</ul>")
        else:
            blocks.append(f"<p>{_inline(block)}</p>")
    return Markup("".join(blocks))  # noqa: S704  # `_inline` has escaped what is in it.


def _inline(text: str) -> str:
    return _BOLD.sub(r"<b>\1</b>", _CODE.sub(r"<code>\1</code>", str(escape(text))))


def name_of(schema: Schema) -> str:
    """The component that a schema names; empty when it names none."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def kind(schema: Schema) -> Markup:
    """What a schema is, in a few words, with links to the components in it."""
    return Markup(_kind(schema))  # noqa: S704  # `_kind` escapes.


def _kind(schema: Schema) -> str:
    if "$ref" in schema:
        name = escape(name_of(schema))
        return f'<a href="#schema-{name}">{name}</a>'
    if "anyOf" in schema and "type" not in schema:
        return " or ".join(dict.fromkeys(_kind(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(f"<code>{escape(json.dumps(each))}</code>" for each in schema["enum"])
    types = schema.get("type", "any")
    names = types if isinstance(types, list) else [types]
    return " or ".join(_type(name, schema) for name in names)


def _type(name: str, schema: Schema) -> str:
    if name == "array":
        return f"list of {_kind(schema['items'])}"
    if schema.get("format") == "date-time" and name == "string":
        return "time"
    return {"integer": "whole number", "boolean": "true or false"}.get(name, str(escape(name)))


def limits(schema: Schema) -> str:
    """What a value must keep to besides its type."""
    found = [
        text.format(json.dumps(schema[word]) if word in ("default", "const") else schema[word])
        for word, text in _LIMITS.items()
        if word in schema
    ]
    return ", ".join(found)


def fields(schema: Schema) -> list[tuple[str, Schema, bool]]:
    """(name, schema, required) of every field of an object, those of objects in it by path."""
    found: list[tuple[str, Schema, bool]] = []
    required = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        found.append((name, each, name in required))
        found += [(f"{name}.{inner}", *rest) for inner, *rest in fields(_inside(each))]  # type: ignore[misc]
    return found


def _inside(schema: Schema) -> Schema:
    """An object that has no name of its own: it is told where it stands."""
    if "$ref" in schema:
        return {}
    if "items" in schema:
        return _inside(schema["items"])
    for each in schema.get("anyOf", ()):
        if _inside(each).get("properties") and "error" not in each["properties"]:
            return _inside(each)
    return schema


def shown(value: Any) -> str:
    """An example."""
    return value if isinstance(value, str) else json.dumps(value, indent=2)


def curl(operation: dict[str, Any]) -> str:
    """A command that asks for it, with the first example."""
    path = operation["path"]
    for each in operation.get("parameters", ()):
        if each["in"] == "path":
            example = str(each["schema"].get("example", "TOKEN")).replace("@", "%40")
            path = path.replace("{" + each["name"] + "}", example)
    method = "" if operation["method"] == "GET" else f"-X {operation['method']} "
    words = [f"curl {method}http://localhost:8025{path}"]
    if operation["security"]:
        words.append('-H "Authorization: Bearer $KEY"')
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        value = next(iter(content["examples"].values()))["value"]
        words.append(f"-H 'Content-Type: {media_type}'")
        words.append(_data(media_type, value))
    return " \\\n  ".join(words)


def _data(media_type: str, value: Any) -> str:
    if media_type == "application/json":
        return f"-d {shlex.quote(json.dumps(value))}"
    if media_type == "text/csv":
        return "--data-binary @suppressions.csv"
    return "-d '" + "&".join(f"{name}={text}" for name, text in value.items()) + "'"
