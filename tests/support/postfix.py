"""A private Postfix that keeps mail in a Maildir. Needs root.

It is a relay with STARTTLS and AUTH required, or what `settings` make of it; each address it
listens on may have settings of its own. Debian packages: postfix, libsasl2-modules, sasl2-bin.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.supervisor.ports import reserve
from tests.support.certificates import Authority

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_MAIN = {
    "compatibility_level": "3.6",
    "queue_directory": "{home}/queue",
    "data_directory": "{home}/data",
    "command_directory": "/usr/sbin",
    "daemon_directory": "/usr/lib/postfix/sbin",
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
    "myhostname": "mx.test",
    "mydestination": "",
    "mynetworks": "",
    "inet_interfaces": "127.0.0.1",  # Of an interface, while master.cf may have 127.0.0.2.
    "inet_protocols": "ipv4",
    "local_recipient_maps": "",
    "virtual_mailbox_domains": "b.test",
    "virtual_mailbox_base": "{home}/mail",
    "virtual_mailbox_maps": "static:all/",
    "virtual_uid_maps": "static:{uid}",
    "virtual_gid_maps": "static:{gid}",
    "virtual_minimum_uid": "1",
    "maillog_file": "{home}/log",
    "maillog_file_prefixes": "{home}",
    "smtpd_tls_cert_file": "{chain}",
    "smtpd_tls_key_file": "{key}",
    "message_size_limit": "200000",
    "smtputf8_enable": "yes",
}
RELAY = {
    "smtpd_tls_security_level": "encrypt",
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_sasl_local_domain": "mx.test",
    "smtpd_sasl_security_options": "noanonymous",
    "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
    "smtpd_recipient_restrictions": "check_recipient_access inline:{{nobody@b.test=REJECT}}",
}
"""Settings of a relay: nothing without TLS and a sign-in."""
_MASTER = """\
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
smtp unix - - n - - smtp
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
        self.inbox = home / "mail/all/new"

    def delivered(self, count: int, seconds: float = 20) -> list[bytes]:
        """The messages in the Maildir, once there are `count`; line ends are LF there."""
        deadline = time.monotonic() + seconds
        while True:
            files = sorted(self.inbox.glob("*"))
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
def postfix(
    settings: Mapping[str, str] = RELAY,
    listeners: Mapping[str, Mapping[str, str]] = {"127.0.0.1": {}},
    *,
    authority: Authority | None = None,
    port: int = 0,
) -> Iterator[Postfix]:
    """Start it; skips the test where it cannot be, which in CI is a failure.

    `listeners`: address -> what is otherwise there than `settings` say. All have the same port.
    """
    missing = _missing()
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    home = Path(tempfile.mkdtemp(prefix="ph-postfix-"))
    try:
        authority = authority or Authority(home)
        reserved = reserve(next(iter(listeners)), port)
        _write(home, authority, {**_MAIN, **settings}, listeners, reserved.port)
        environment = {"PATH": _PATH, "MAIL_CONFIG": str(home / "etc")}
        start = ["postfix", "-c", str(home / "etc"), "start"]
        told = subprocess.run(start, env=environment, capture_output=True, timeout=30, check=False)
        assert told.returncode == 0, told.stderr.decode()
        try:
            yield Postfix(home, reserved.port, authority.ca_file)
        finally:
            stop = ["postfix", "-c", str(home / "etc"), "stop"]
            subprocess.run(stop, env=environment, check=True, capture_output=True, timeout=30)
            reserved.release()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _write(
    home: Path,
    authority: Authority,
    settings: Mapping[str, str],
    listeners: Mapping[str, Mapping[str, str]],
    port: int,
) -> None:
    account = pwd.getpwnam("postfix")
    home.chmod(0o755)
    for name in ("etc", "etc/sasl", "queue", "data", "mail"):
        (home / name).mkdir()
    for name in ("data", "mail"):
        os.chown(home / name, account.pw_uid, account.pw_gid)
    chain, key = authority.files("mx.test")
    values = {
        "home": home, "uid": account.pw_uid, "gid": account.pw_gid, "chain": chain, "key": key,
    }  # fmt: skip
    main = (f"{name} = {value.format(**values)}\n" for name, value in settings.items())
    (home / "etc/main.cf").write_text("".join(main))
    doors = (_door(f"{host}:{port}", options) for host, options in listeners.items())
    (home / "etc/master.cf").write_text("".join(doors) + _MASTER)
    (home / "etc/sasl/smtpd.conf").write_text(_SASL.format(**values))
    subprocess.run(
        ["saslpasswd2", "-p", "-c", "-f", str(home / "users"), "-u", "mx.test", "sender"],
        input=PASSWORD.encode(), check=True, capture_output=True,
        env={"PATH": _PATH}, timeout=30,
    )  # fmt: skip
    os.chown(home / "users", account.pw_uid, account.pw_gid)


def _door(service: str, options: Mapping[str, str]) -> str:
    """The lines of master.cf for an address; a value in braces may have spaces."""
    own = (f"  -o {{ {name} = {value} }}\n" for name, value in options.items())
    return f"{service} inet n - n - - smtpd\n" + "".join(own)
