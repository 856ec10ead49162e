"""The preview of a message's HTML."""
