"""A private Exim as the mail host of domains: mail is kept in a Maildir. Needs root.

Debian lets nobody install exim4-daemon-light beside Postfix, so its binary is taken out of the
package: `.ci/run` shows how. It needs the account Debian-exim, and libidn12.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from socket import inet_aton

import pytest

from shared.supervisor.ports import reserve

BINARY = shutil.which("exim4", path="/usr/sbin:/usr/local/sbin")
ACCOUNT = "Debian-exim"
_CONFIGURATION = """\
primary_hostname = mx.exim.test
exim_path = {binary}
spool_directory = {home}/spool
log_file_path = {home}/log/%slog
pid_file_path = {home}/exim.pid
local_interfaces = <; {hosts}
daemon_smtp_ports = {port}
deliver_drop_privilege
keep_environment =
host_lookup =
rfc1413_hosts =
smtp_accept_queue_per_connection = 0
smtputf8_advertise_hosts = *
message_size_limit = 200000
tls_advertise_hosts = *
tls_certificate = {home}/tls/$received_ip_address.chain
tls_privatekey = {home}/tls/$received_ip_address.key
domainlist ours = {domains}
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
begin acl
mail:
  accept control = dkim_disable_verify
rcpt:
  deny message = 550 5.7.1 relaying is not for you
       ! domains = +ours
  defer message = 451 4.7.1 greylisted
        local_parts = grey
        condition = ${{if !exists{{{home}/known}}}}
  deny message = 550 5.1.1 unknown user
       ! verify = recipient
  accept
begin routers
people:
  driver = accept
  domains = +ours
  local_parts = ! nobody
  transport = inbox
begin transports
inbox:
  driver = appendfile
  directory = {home}/mail
  maildir_format
"""


class Exim:
    """What a test needs to know of it."""

    def __init__(self, home: Path, hosts: Iterable[str], port: int) -> None:
        self.home = home
        self.inbox = home / "mail/new"
        self._listening = [
            f" {inet_aton(host)[::-1].hex().upper()}:{port:04X} 00000000:0000 0A " for host in hosts
        ]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert BINARY is not None
        command = [BINARY, "-C", str(self.home / "exim.conf"), "-bdf"]
        self._process = subprocess.Popen(command, start_new_session=True)
        deadline = time.monotonic() + 10
        while not self._listens():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def _listens(self) -> bool:
        """Whether it does, by the kernel's table: a connection would stand in its log."""
        table = Path("/proc/net/tcp").read_text()
        return all(each in table for each in self._listening)

    def stop(self) -> None:
        """Stop it, and what it has started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def log(self) -> str:
        """What it has logged so far."""
        return "".join(each.read_text() for each in sorted((self.home / "log").glob("*log")))

    def let_grey_in(self) -> None:
        """The sender is known from now on: mail to `grey` is taken."""
        (self.home / "known").touch()


def _missing() -> str:
    if os.geteuid() != 0:
        return "a private Exim needs root"
    if BINARY is None:
        return "exim4 is not here (Debian package exim4-daemon-light; .ci/run unpacks it)"
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return f"Exim needs an account {ACCOUNT} (.ci/run adds it)"
    return ""


@contextmanager
def exim(
    certificates: Mapping[str, tuple[str, str]], domains: tuple[str, ...], port: int
) -> Iterator[Exim]:
    """Start it; skips the test where it cannot be, which in CI is a failure.

    `certificates`: address to listen on -> files of its certificate chain and key.
    """
    missing = _missing()
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    home = Path(tempfile.mkdtemp(prefix="ph-exim-"))
    try:
        for host in certificates:
            reserve(host, port)
        _write(home, certificates, domains, port)
        server = Exim(home, certificates, port)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _write(
    home: Path, certificates: Mapping[str, tuple[str, str]], domains: tuple[str, ...], port: int
) -> None:
    for name in ("spool", "log", "mail", "tls"):
        (home / name).mkdir()
    for host, files in certificates.items():
        for file, kind in zip(files, ("chain", "key"), strict=True):
            shutil.copyfile(file, home / "tls" / f"{host}.{kind}")
    text = _CONFIGURATION.format(
        home=home, binary=BINARY, port=port, hosts=" ; ".join(certificates),
        domains=" : ".join(domains),
    )  # fmt: skip
    (home / "exim.conf").write_text(text)
    shutil.chown(home, ACCOUNT, ACCOUNT)
    for path in home.rglob("*"):
        if path.name != "exim.conf":
            shutil.chown(path, ACCOUNT, ACCOUNT)
