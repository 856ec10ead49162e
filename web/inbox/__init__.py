"""The inbox: a local SMTP server that captures mail instead of sending it on, and its pages."""
