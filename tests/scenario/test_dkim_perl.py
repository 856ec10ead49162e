"""What we sign, Perl's Mail::DKIM verifies too."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from shared.clock import SystemClock
from shared.model.message import Address, Attachment, Content, Head, Recipient
from tests.support.dkim_keys import rsa_key
from workers.render import render
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


def test_b43_perl_accepts_it(tmp_path: Path) -> None:
    perl = shutil.which("perl")
    known = perl and subprocess.run(
        [perl, "-MMail::DKIM::Verifier", "-e1"], capture_output=True, check=False
    )
    if not known or known.returncode != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("Mail::DKIM is missing: install libmail-dkim-perl")
        pytest.skip("Perl's Mail::DKIM is not here (Debian package libmail-dkim-perl)")
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
    files = []
    for number, content in enumerate(contents):
        head = Head(
            "app", "bulk", f"<{number}@shop.test>", Address("orders@shop.test", "Shöp"), "",
            (Recipient("to", "to@b.test", "A, B"),), "Süßes =?x?= " * number, 1_800_000_000_000,
        )  # fmt: skip
        message = signer.sign(render(head, content), "shop.test").message
        for name, data in (("good", message), ("bad", message.replace(b"Sh", b"Th", 1))):
            files.append(tmp_path / f"{number}-{name}")
            files[-1].write_bytes(data)
    changed = message.replace(b"Message-ID: <4", b"Message-ID: <5")
    files.append(tmp_path / "changed")
    files[-1].write_bytes(changed)
    assert perl is not None
    found = subprocess.run(
        [perl, "-e", VERIFIER, str(tmp_path / "record"), *map(str, files)],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout.split()  # fmt: skip
    assert found[0:-1:2] == ["pass"] * len(contents)
    assert found[-1] == "fail"
