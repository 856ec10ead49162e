"""The `posthaste` command, one file a group."""
