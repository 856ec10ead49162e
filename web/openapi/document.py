"""The OpenAPI 3.1 document of the public API, put together from the groups.

Takes the limits of an installation, gives plain objects. A route that is not described, or is
described and not there, fails `tests/architecture/test_openapi.py`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from shared.settings import WebSettings
from web.openapi import dead_letters, destinations, figures, limits, open_routes, suppressions
from web.openapi.fields import FIELD_CODES
from web.openapi.messages import group as messages
from web.openapi.operation import Group
from web.openapi.problems import CODES, SCHEMAS
from web.openapi.schema import choice

_ABOUT = """\
Posthaste accepts mail over HTTP and delivers it.

**Keys.** `Authorization: Bearer ph_...`. A key belongs to an application and has scopes: `send` \
(its application's mail) and `operate` (destinations, dead letters, everybody's mail).

**Times** are RFC 3339; an answer's are in UTC. **Ids** are opaque. Answers may get more fields: \
pass those by that you do not know. A request's unknown fields are refused.

**Errors** are problem documents (RFC 9457) with a `code`; `errors` has an entry for every wrong \
field. Codes may be added: go by the status where you do not know one. Every path may also be \
answered 404 `not_found`, 405 `method_not_allowed`, 413 `too_large` or 500 `internal_error`. A \
load balancer in front may answer by itself, in the same shape: 429 `rate_limited`, 502 and 504 \
`acceptance_unknown`, 503 `unavailable`, and 4xx for what is no good HTTP.

`HEAD` is answered wherever `GET` is. Every answer has `X-Request-Id`: that of the request, if it \
has up to 64 letters, digits, `.`, `_` and `-`, or else a new one. A JSON body may be sent with \
`Content-Encoding: gzip`.
"""


def groups(web: WebSettings) -> tuple[Group, ...]:
    """In the order in which people read them."""
    return (
        messages(web),
        suppressions.GROUP,
        figures.GROUP,
        destinations.GROUP,
        limits.GROUP,
        dead_letters.GROUP,
        open_routes.GROUP,
    )


def document(web: WebSettings) -> dict[str, Any]:
    """The whole of it."""
    found = groups(web)
    paths: dict[str, dict[str, Any]] = {}
    for group in found:
        for each in group.operations:
            paths.setdefault(each.path, {})[each.method.lower()] = each.described(group.tag)
    schemas = {name: schema for group in found for name, schema in group.schemas.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Posthaste",
            "version": version("posthaste"),
            "summary": "Transactional mail, accepted over HTTP.",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": group.tag, "description": group.description} for group in found],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "ph_ID_SECRET",
                    "description": "An API key: `posthaste key create`.",
                }
            },
            "headers": {
                "X-Request-Id": {
                    "description": "By which the log has this request.",
                    "schema": {"type": "string"},
                }
            },
            "schemas": {**schemas, **SCHEMAS, "FieldCode": _field_code()},
        },
        "x-problem-codes": {
            code: {"status": each.status, "meaning": each.meaning} for code, each in CODES.items()
        },
    }


def _field_code() -> dict[str, Any]:
    meanings = "\n".join(f"- `{code}`: {meaning}" for code, meaning in FIELD_CODES.items())
    return choice(list(FIELD_CODES), f"What is wrong with a field.\n\n{meanings}")
