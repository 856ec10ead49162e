"""`posthaste doctor`: one file a thing that is checked; `run.py` lists them and runs them together.

A check is an async function that takes the `Patient` and gives findings. It changes nothing, sends
no mail, and quotes no secret. What it cannot reach is a finding, never an exception.
"""
