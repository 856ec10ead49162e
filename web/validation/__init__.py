"""From plain objects to a message, or to every field that is wrong. Pure: no I/O, no clock."""

from web.validation.message import Policy, Validated, validate

__all__ = ["Policy", "Validated", "validate"]
