"""The only code that talks to Redis. Ports in `ports`, Redis and in-memory twins beside them."""
