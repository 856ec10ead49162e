"""Kill everything, again and again, and account for every message.

    python -m tests.chaos                       # 2,000 messages, a seed of its own
    python -m tests.chaos -n 20000 --seed 7 --verbose

The last line is the summary; a line before it for each violation, and exit code 1 then. What was
done, which copies came, and the logs are in build/chaos.
"""

from __future__ import annotations

import argparse
import random
import sys

from tests.chaos.run import FOLDER, Run


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("-n", "--messages", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--verbose", action="store_true", help="print the ledger")
    arguments = parser.parse_args()

    def say(text: str, detail: bool = False) -> None:
        if arguments.verbose or not detail:
            print(text, flush=True)

    say(f"chaos: {arguments.messages} messages, seed {arguments.seed}")
    verdict = Run(arguments.messages, arguments.seed, say).run()
    for violation in verdict.violations:
        say(f"violation: {violation}")
    if verdict.violations:
        say(f"what was done, what came, and the logs: {FOLDER}")
    say(verdict.summary.line())
    return 1 if verdict.violations else 0


if __name__ == "__main__":
    sys.exit(main())
