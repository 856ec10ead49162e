"""A private Postfix: STARTTLS and AUTH required, mail kept in a Maildir. Needs root.

Debian packages: postfix, libsasl2-modules, sasl2-bin.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.supervisor.ports import reserve
from tests.support.certificates import Authority

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_MAIN = """\
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.test
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
virtual_mailbox_domains = b.test
virtual_mailbox_base = {home}/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
maillog_file = {home}/log
maillog_file_prefixes = {home}
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {chain}
smtpd_tls_key_file = {key}
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = mx.test
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access inline:{{nobody@b.test=REJECT}}
message_size_limit = 200000
smtputf8_enable = yes
"""
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
_SASL = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {home}/users
mech_list: PLAIN LOGIN CRAM-MD5
"""
USER, PASSWORD = "sender@mx.test", "secret of the sender"


class Postfix:
    """What a test needs to know of it."""

    def __init__(self, home: Path, port: int, ca_file: str) -> None:
        self.home = home
        self.port = port
        self.ca_file = ca_file

    def delivered(self, count: int, seconds: float = 20) -> list[bytes]:
        """The messages in the Maildir, once there are `count`; line ends are LF there."""
        deadline = time.monotonic() + seconds
        while True:
            files = sorted((self.home / "mail").glob("all/new/*"))
            if len(files) >= count:
                return [file.read_bytes() for file in files]
            assert time.monotonic() < deadline, (self.home / "log").read_text()[-3000:]
            time.sleep(0.05)

    def log(self) -> str:
        """Its log so far."""
        return (self.home / "log").read_text()


def _missing() -> str:
    if os.geteuid() != 0:
        return "a private Postfix needs root"
    for name in ("postfix", "saslpasswd2"):
        if shutil.which(name, path=_PATH) is None:
            return f"{name} is not here (Debian packages postfix and sasl2-bin)"
    return ""


@contextmanager
def postfix() -> Iterator[Postfix]:
    """Start it; skips the test where it cannot be, which in CI is a failure."""
    missing = _missing()
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    home = Path(tempfile.mkdtemp(prefix="ph-postfix-"))
    try:
        authority = Authority(home)
        reserved = reserve("127.0.0.1")
        port = reserved.port
        _write(home, authority, port)
        environment = {"PATH": _PATH, "MAIL_CONFIG": str(home / "etc")}
        start = ["postfix", "-c", str(home / "etc"), "start"]
        subprocess.run(start, env=environment, check=True, capture_output=True, timeout=30)
        try:
            yield Postfix(home, port, authority.ca_file)
        finally:
            stop = ["postfix", "-c", str(home / "etc"), "stop"]
            subprocess.run(stop, env=environment, check=True, capture_output=True, timeout=30)
            reserved.release()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _write(home: Path, authority: Authority, port: int) -> None:
    account = pwd.getpwnam("postfix")
    home.chmod(0o755)
    for name in ("etc", "etc/sasl", "queue", "data", "mail"):
        (home / name).mkdir()
    for name in ("data", "mail"):
        os.chown(home / name, account.pw_uid, account.pw_gid)
    chain, key = authority.files("mx.test")
    values = {
        "home": home, "uid": account.pw_uid, "gid": account.pw_gid, "chain": chain, "key": key,
        "port": port,
    }  # fmt: skip
    (home / "etc/main.cf").write_text(_MAIN.format(**values))
    (home / "etc/master.cf").write_text(_MASTER.format(**values))
    (home / "etc/sasl/smtpd.conf").write_text(_SASL.format(**values))
    subprocess.run(
        ["saslpasswd2", "-p", "-c", "-f", str(home / "users"), "-u", "mx.test", "sender"],
        input=PASSWORD.encode(), check=True, capture_output=True,
        env={"PATH": _PATH}, timeout=30,
    )  # fmt: skip
    os.chown(home / "users", account.pw_uid, account.pw_gid)
