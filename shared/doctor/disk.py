"""The disk of the store: room for a rewrite, and how to get some back when there is none.

A server that cannot write its append-only file exits, and does not start again before there is
room. A file named `reserve` beside its data is room that is kept for that hour.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from shared.doctor.finding import Finding, ok
from shared.doctor.patient import Patient
from shared.settings import StoreSettings

RESERVE = "reserve"
LEAST_INODES = 1000
_LEFT_BEHIND = ("temp-rewriteaof-*.aof", "temp-*.rdb")


async def check_disk(patient: Patient) -> list[Finding]:
    """The directory that store.data_dir names, if it is on this machine."""
    settings = patient.settings.store
    if not settings.data_dir:
        found = "store.data_dir is not set, so nobody watches the disk of the store from here"
        return [
            Finding("disk.store", "info", found,
                    "where the data directory is on this machine or mounted here, set it")
        ]  # fmt: skip
    return await asyncio.to_thread(_judge, settings)


def _judge(settings: StoreSettings) -> list[Finding]:
    folder = Path(settings.data_dir)
    try:
        usage, inodes = shutil.disk_usage(folder), os.statvfs(folder).f_favail
        aof = _size(folder, "appendonlydir/*") + _size(folder, "*.aof")
    except OSError as error:
        return [
            Finding("disk.store", "error", f"{folder} cannot be read: {error.strerror}",
                    "correct store.data_dir, or let this user read it")
        ]  # fmt: skip
    needed = int(aof * 1.2) + settings.disk_reserve_bytes
    told = f"{folder}: {_mb(usage.free)} of {_mb(usage.total)} free, mail's file has {_mb(aof)}"
    findings = []
    if usage.free < needed or inodes < LEAST_INODES:
        why = f"under {_mb(needed)}" if usage.free < needed else f"only {inodes} files more"
        findings.append(
            Finding("disk.store", "error", f"{told}: no mail is accepted ({why})",
                    " ".join(_ways_out(folder, settings)))
        )  # fmt: skip
    elif usage.free < 2 * needed:
        findings.append(
            Finding("disk.store", "warning", f"{told}: accepting mail stops at {_mb(needed)}",
                    "give the disk more room, or take other things off it")
        )  # fmt: skip
    else:
        findings.append(ok("disk.store", told))
        if not (folder / RESERVE).exists():
            findings.append(
                Finding("disk.reserve", "info", "no room is kept for a full disk",
                        f"fallocate -l {settings.disk_reserve_bytes} {folder / RESERVE}: deleting"
                        " that file lets a server start again that has stopped for lack of room")
            )  # fmt: skip
    return findings


def _ways_out(folder: Path, settings: StoreSettings) -> list[str]:
    """What to do now, the quickest first."""
    ways = []
    reserve = folder / RESERVE
    if reserve.is_file():
        ways.append(f"`rm {reserve}` frees {_mb(reserve.stat().st_size)}: it is there for this.")
    left = [path for pattern in _LEFT_BEHIND for path in folder.rglob(pattern)]
    if left:
        size = sum(path.stat().st_size for path in left)
        names = " ".join(str(path) for path in left[:5])
        ways.append(
            f"Leftovers of broken rewrites have {_mb(size)}: while no rewrite runs, `rm {names}`."
        )
    ways.append(
        "Take what is not the store's off this disk, or enlarge it. Then start the server, and"
        " `redis-cli BGREWRITEAOF` makes its file as small as the mail it holds."
    )
    ways.append(
        f"Afterwards `fallocate -l {settings.disk_reserve_bytes} {reserve}` keeps room again."
    )
    return ways


def _size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file())


def _mb(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
