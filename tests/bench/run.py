"""Every benchmark, or the named ones.

python -m tests.bench.run            # everything, about five minutes
python -m tests.bench.run batch drain
"""

from __future__ import annotations

import gc
import sys

from tests.bench import delivery, spine
from tests.support.smtp_sink import BINARY

FIGURES = {**spine.FIGURES, **delivery.FIGURES}


def main(arguments: list[str]) -> int:
    """Run them in order."""
    unknown = [each for each in arguments if each not in FIGURES]
    if unknown:
        print(f"no such figure: {', '.join(unknown)}; known: {', '.join(FIGURES)}")
        return 2
    wanted = arguments or list(FIGURES)
    if BINARY is None and any(each in delivery.FIGURES for each in wanted):
        print("smtp-sink is missing: install the Debian package postfix")
        return 2
    for name in wanted:
        gc.collect()
        FIGURES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
