"""The peer: a private Postfix that relays to the same sink, unsigned or signing with OpenDKIM.

Its configuration, queue and log stand in a temporary directory; it is durable as by default (a
queue file is synced before the 250). Set for throughput: no flow delay, 200 processes, 50
deliveries at once to the sink, no look-ups of names. Needs root, as any Postfix does.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from shared.dkim import generate, to_pem
from shared.supervisor.ports import reserve

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
SIZE = 4096
_MAIN = """\
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {home}/log
maillog_file_prefixes = {home}
myhostname = mx.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
relayhost = [127.0.0.1]:{sink}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtp_tls_security_level = none
disable_dns_lookups = yes
in_flow_delay = 0
default_process_limit = 200
initial_destination_concurrency = 50
default_destination_concurrency_limit = 50
"""
_MILTER = """\
smtpd_milters = inet:127.0.0.1:{milter}
milter_default_action = tempfail
"""
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
scache unix - - n - 1 scache
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
_OPENDKIM = """\
Mode s
Socket inet:{milter}@127.0.0.1
Domain shop.test
Selector s1
KeyFile {home}/s1.pem
RequireSafeKeys no
Canonicalization relaxed/relaxed
Syslog no
"""


def missing() -> str:
    """Why there is no Postfix to compare with; empty when there is."""
    if shutil.which("postfix", path=_PATH) is None:
        return "Postfix is not installed"
    if os.geteuid() != 0:
        return "a private Postfix needs root"
    return ""


def can_sign() -> bool:
    """Whether OpenDKIM (Debian package opendkim) is there."""
    return shutil.which("opendkim", path=_PATH) is not None


class Postfix:
    """A running one."""

    def __init__(self, port: int) -> None:
        self._port = port

    def send(self, count: int, sessions: int) -> None:
        """Submit messages by smtp-source, over kept sessions."""
        subprocess.run(
            ["smtp-source", "-s", str(sessions), "-m", str(count), "-l", str(SIZE), "-d",
             "-f", "orders@shop.test", "-t", "customer@example.test", f"127.0.0.1:{self._port}"],
            env={"PATH": _PATH}, check=True, timeout=300, stdout=subprocess.DEVNULL,
        )  # fmt: skip


@contextmanager
def postfix(sink: int, *, signing: bool = False) -> Iterator[Postfix]:
    """Start one that relays to the port `sink`; stopped and removed at the end."""
    with ExitStack() as undo:
        home = Path(tempfile.mkdtemp(prefix="ph-postfix-"))
        undo.callback(shutil.rmtree, home, ignore_errors=True)
        listener, milter = reserve("127.0.0.1"), reserve("127.0.0.1")
        undo.callback(listener.release)
        undo.callback(milter.release)
        _write(home, listener.port, sink, milter.port if signing else None)
        if signing:
            undo.enter_context(_opendkim(home, milter.port))
        _control(home, "start")
        undo.callback(_control, home, "stop")
        yield Postfix(listener.port)


def _control(home: Path, word: str) -> None:
    subprocess.run(
        ["postfix", "-c", str(home / "etc"), word],
        env={"PATH": _PATH}, check=True, capture_output=True, timeout=60,
    )  # fmt: skip


def _write(home: Path, port: int, sink: int, milter: int | None) -> None:
    """Its files; `milter` is the port of the signer, if there is one."""
    account = pwd.getpwnam("postfix")
    home.chmod(0o755)
    for name in ("etc", "queue", "data"):
        (home / name).mkdir()
    os.chown(home / "data", account.pw_uid, account.pw_gid)
    values = {"home": home, "port": port, "sink": sink, "milter": milter}
    main = _MAIN + ("" if milter is None else _MILTER)
    (home / "etc/main.cf").write_text(main.format(**values))
    (home / "etc/master.cf").write_text(_MASTER.format(**values))
    if milter is not None:
        (home / "s1.pem").write_bytes(to_pem(generate("rsa")))
        (home / "opendkim.conf").write_text(_OPENDKIM.format(**values))


@contextmanager
def _opendkim(home: Path, port: int) -> Iterator[None]:
    """The signer, once it answers."""
    process = subprocess.Popen(
        ["opendkim", "-f", "-x", str(home / "opendkim.conf")], env={"PATH": _PATH}
    )
    try:
        deadline = time.monotonic() + 10
        while not _answers(port):
            assert process.poll() is None, "opendkim did not start"
            assert time.monotonic() < deadline, "opendkim does not answer"
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False
