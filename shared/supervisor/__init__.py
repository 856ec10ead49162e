"""`posthaste up`: one machine's processes started in order, kept running, stopped in order."""
