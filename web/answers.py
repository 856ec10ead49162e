"""Answers as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response

_encode = msgspec.json.Encoder().encode


def answer(body: Any, status: int = 200) -> Response:
    """`body` as a JSON response."""
    return Response(_encode(body), status=status, content_type="application/json")
