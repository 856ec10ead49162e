"""From plain objects to a message, or to every field that is wrong. Pure: no I/O, no clock."""

from web.validation.message import Validated, validate
from web.validation.policy import Policy

__all__ = ["Policy", "Validated", "validate"]
