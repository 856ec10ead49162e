"""What we sign, Perl's Mail::DKIM verifies too.

By the RSA signature: the Mail::DKIM of Debian 12 (1.20230212) knows no Ed25519, calls such a
signature alone invalid, and passes over it beside another. `tests/unit/workers/test_sign.py` has
dkimpy verify those.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from shared.clock import SystemClock
from shared.model.message import Address, Attachment, Content, Head, Recipient
from shared.render import render
from tests.support.dkim_keys import ed25519_key, rsa_key
from workers.sign import Dkim

VERIFIER = r"""
use strict; use Mail::DKIM::Verifier; use Net::DNS::RR;
my ($record_file, @files) = @ARGV;
open(my $r, '<', $record_file) or die; my $record = <$r>; chomp $record;
no warnings 'redefine';
*Mail::DKIM::DNS::query = sub {
    my ($name) = @_;
    return (Net::DNS::RR->new(name => $name, type => 'TXT', ttl => 60, txtdata => $record));
};
for my $file (@files) {
    my $verifier = Mail::DKIM::Verifier->new();
    open(my $f, '<:raw', $file) or die; local $/; my $data = <$f>;
    $verifier->PRINT($data); $verifier->CLOSE;
    print $verifier->result, "\n";
}
"""


CHANGES = {
    "from": (b"<orders@shop.test>", b"<evil@shop.test>"),
    "to": (b'"A, B"', b'"A, C"'),
    "id": (b"@shop.test>\r\nMIME", b"@evil.test>\r\nMIME"),
    "date": (b"Date: Fri, 15", b"Date: Fri, 16"),
    "body": (b"\r\n\r\n", b"\r\n\r\nmore\r\n\r\n"),
    "subject": (b"MIME-Version", b"Subject: Pay here\r\nMIME-Version"),
}
"""What is put in the place of the last of each, so that the signature is no good."""


def test_b43_perl_accepts_it_and_no_change_of_it(tmp_path: Path) -> None:
    perl = shutil.which("perl")
    known = perl and subprocess.run(
        [perl, "-MMail::DKIM::Verifier", "-e1"], capture_output=True, check=False
    )
    if not known or known.returncode != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("Mail::DKIM is missing: install libmail-dkim-perl")
        pytest.skip("Perl's Mail::DKIM is not here (Debian package libmail-dkim-perl)")
    assert perl is not None
    key = rsa_key()
    signer = Dkim({key.domain: (key,)}, SystemClock())
    (tmp_path / "record").write_text(key.record)
    contents = [
        Content(text="plain\n\n\n"),
        Content(text=" leading  and \t double \n.dot\n", html="<p>é日本語</p>\n" * 50),
        Content(html="<p>only html</p>"),
        Content(text="x" * 5000, attachments=(Attachment("é.bin", "a/b", bytes(range(256))),)),
        Content(text="", html=""),
    ]
    wanted = {}
    for number, content in enumerate(contents):
        head = Head(
            "app", "bulk", f"<{number}@shop.test>", Address("orders@shop.test", "Shöp"), "",
            (Recipient("to", "to@b.test", "A, B"),), "Süßes =?x?= " * number, 1_800_000_000_000,
        )  # fmt: skip
        message = signer.sign(render(head, content), "shop.test").message
        wanted[f"{number}-good"] = (message, "pass")
        for name, (old, new) in CHANGES.items():
            assert message.count(old) >= 1, (number, name)
            before, _, after = message.rpartition(old)
            wanted[f"{number}-{name}"] = (before + new + after, "fail")
    both = Dkim({key.domain: (ed25519_key(), key)}, SystemClock())
    wanted["both"] = (both.sign(render(head, content), "shop.test").message, "pass")
    for name, (data, _) in wanted.items():
        (tmp_path / name).write_bytes(data)
    files = [str(tmp_path / name) for name in ("record", *wanted)]
    found = subprocess.run(
        [perl, "-e", VERIFIER, *files],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout.split()  # fmt: skip
    assert dict(zip(wanted, found, strict=True)) == {
        name: result for name, (_, result) in wanted.items()
    }
