"""The delivery tier: claimed legs in, SMTP transactions and settled outcomes out."""
