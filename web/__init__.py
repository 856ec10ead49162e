"""The ingest tier: bytes from a client in, a durable message or a clear refusal out."""
