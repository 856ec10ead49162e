"""The SMTP client (RFC 5321): the only socket code of the delivery tier."""

from workers.smtp.pool import Pool
from workers.smtp.types import Envelope, Reply, Stage, Transaction

__all__ = ["Envelope", "Pool", "Reply", "Stage", "Transaction"]
