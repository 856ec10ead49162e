"""Every benchmark, or the named ones.

    python -m tests.bench.run                # everything, about twelve minutes
    python -m tests.bench.run --quick        # the first four, in two minutes
    python -m tests.bench.run batch drain    # some

BENCH_FEEDBACK=1 in the environment turns on return paths of our own and a suppression list, in the
figures whose installation signs. Prints the machine, then each figure as the median of its runs
with lowest and highest, its bars and its peers; writes build/bench.json. The code is 0 however the
bars are met, 1 when a benchmark broke, 2 for a wrong call.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
from collections.abc import Callable

from tests.bench import (
    accepting,
    alone,
    applications,
    deferred,
    distant,
    failover,
    latency,
    limits,
    machine,
    pages,
    postfix,
    report,
    sites,
    spine,
    suppression,
    suspended,
    throughput,
    urgent,
)  # fmt: skip
from tests.bench.effort import FULL, QUICK, Effort
from tests.bench.figure import Figure
from tests.support.smtp_sink import BINARY

Benchmark = Callable[[Effort], list[Figure]]

BARS: dict[str, Benchmark] = {
    "batch": throughput.batch,
    "single": throughput.single,
    "drain": throughput.drain,
    "latency": latency.latency,
    "deferred": deferred.deferred,
    "entry": deferred.entry,
    "sessions": distant.sessions,
    "idle": spine.idle,
}
"""What the product is held to."""
PARTS: dict[str, Benchmark] = {
    "accept-batch": accepting.accept_batch,
    "accept-single": accepting.accept_single,
    "fair": accepting.fair,
    "settle": spine.settle,
    "client": alone.client,
    "render": alone.rendering,
    "distant": distant.distant,
}
"""Where the time goes."""
MINUTES: dict[str, Benchmark] = {
    "limits": limits.limits,
    "urgent": urgent.urgent,
    "failover": failover.failover,
    "suspended": suspended.suspended,
    "sites": sites.sites,
    "applications": applications.applications,
    "suppression": suppression.suppression,
    "pages": pages.pages,
}
"""By name only: they take minutes, whatever the machine."""
FIGURES = {**BARS, **PARTS, **MINUTES}
QUICK_FIGURES = tuple(BARS)[:4]
WITHOUT_SINK = {"latency", "deferred", "entry", "idle", "accept-batch", "accept-single", "fair",
                "settle", "render", "limits", "urgent", "failover", "applications",
                "suppression", "pages"}  # fmt: skip


def _refusal(wanted: list[str]) -> str:
    """Why these cannot be measured; empty when they can."""
    unknown = [each for each in wanted if each not in FIGURES]
    if unknown:
        return f"no such figure: {', '.join(unknown)}; known: {', '.join(FIGURES)}"
    if BINARY is None and not WITHOUT_SINK.issuperset(wanted):
        return "smtp-sink is missing: install the Debian package postfix"
    return ""


def _head() -> None:
    print("\n".join(machine.head()))
    missing = postfix.missing()
    if missing:
        print(f"no peer: {missing}")
    print(flush=True)


def main(arguments: list[str]) -> int:
    """Run them in order."""
    quick = "--quick" in arguments
    named = [each for each in arguments if each != "--quick"]
    wanted = named or list(QUICK_FIGURES if quick else {**BARS, **PARTS})
    refusal = _refusal(wanted)
    if refusal:
        print(refusal, file=sys.stderr)
        return 2
    _head()
    began, figures, broken = time.monotonic(), list[Figure](), list[str]()
    for name in wanted:
        gc.collect()
        try:
            found = FIGURES[name](QUICK if quick else FULL)
        except Exception:  # The shell of the run: the others are measured all the same.
            traceback.print_exc()
            print(f"{name}: not measured", flush=True)
            broken.append(name)
            continue
        report.show(found)
        figures += found
    report.write(figures)
    print(f"\n{report.summary(figures)}")
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    load = " ".join(f"{each:.2f}" for each in os.getloadavg())
    print(f"in {minutes} min {seconds} s; load average at the end: {load}; {report.JSON.name}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
