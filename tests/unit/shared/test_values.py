"""The model's packed forms, ids, compression, keys, settings."""

from __future__ import annotations

import random
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import api_keys, embedded
from shared.clock import ManualClock
from shared.compression import pack_content, unpack_content
from shared.config import host_and_port, load
from shared.embedded import server_config
from shared.errors import ConfigError
from shared.ids import external, new_message_id, parse_external
from shared.model.leg import (
    Attempt,
    Leg,
    LegFlag,
    LegState,
    RecipientReply,
    leg_id,
    message_of,
    pack_history,
    pack_leg,
    salvage_leg,
    unpack_history,
    unpack_leg,
)
from shared.model.message import (
    CLASSES,
    LAST_MS,
    Address,
    Attachment,
    Content,
    Head,
    NewerFormat,
    Recipient,
    UnknownFormat,
    pack_head,
    unpack_head,
)
from shared.model.status import FINAL, FOLLOWS, OPEN, Status
from shared.model.turns import turn_name
from shared.parting import legs_of
from shared.routing import Routes
from shared.settings import Settings

replies = st.builds(
    RecipientReply, st.integers(0, 99), st.sampled_from("dfb"), st.integers(200, 599), st.text(),
    st.text(max_size=50),
)  # fmt: skip
attempts = st.builds(
    Attempt,
    st.integers(0, LAST_MS - 1),
    st.text(max_size=20),
    st.lists(replies, max_size=3).map(tuple),
)
legs = st.builds(
    Leg,
    state=st.sampled_from(LegState),
    message_class=st.sampled_from(CLASSES),
    hop=st.text(max_size=20).map(lambda text: text.replace("|", "")),
    application=st.text(max_size=20).map(turn_name),
    statuses=st.lists(st.sampled_from(Status), min_size=1, max_size=5).map(tuple),
    recipients=st.sampled_from([(), (0, 7, 300, 301, 65535)]),
    give_up_ms=st.integers(0, LAST_MS - 1),
    due_ms=st.integers(0, LAST_MS - 1),
    crashes=st.integers(0, 255),
    flags=st.integers(0, 15).map(LegFlag),
    fence=st.integers(0, 2**32 - 1),
    attempts=st.integers(0, 65535),
    legs=st.integers(1, 65535),
    history=st.lists(attempts, max_size=5).map(tuple),
).map(
    lambda leg: msgspec.structs.replace(leg, recipients=leg.recipients[: len(leg.statuses)])
)  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True)
@given(leg=legs)
def test_a_leg_survives_packing(leg: Leg) -> None:
    assert unpack_leg(pack_leg(leg)) == leg


damage = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 300), st.just(b"")),
    st.tuples(st.just("put"), st.integers(0, 300), st.binary(min_size=1, max_size=4)),
)


def damaged(packed: bytes, how: tuple[str, int, bytes]) -> bytes:
    kind, at, data = how
    at %= len(packed)
    return packed[:at] + data + (b"" if kind == "cut" else packed[at + len(data) :])


@settings(max_examples=500, deadline=None, derandomize=True)
@given(leg=legs, how=damage)
def test_a_damaged_leg_is_told_as_one(leg: Leg, how: tuple[str, int, bytes]) -> None:
    packed = damaged(pack_leg(leg), how)
    for unpack in (unpack_leg, salvage_leg):
        try:
            found = unpack(packed)
        except UnknownFormat:
            continue
        assert len(found.indices()) == len(found.statuses) > 0
        found.all_attempts()


@settings(max_examples=500, deadline=None, derandomize=True)
@given(how=damage)
def test_a_damaged_head_or_content_is_told_as_one(how: tuple[str, int, bytes]) -> None:
    for unpack, packed in (
        (unpack_head, pack_head(head(3, send_at_ms=5, metadata={"a": "b"}, tags=("x",)))),
        (unpack_content, pack_content(Content("long " * 99))[0]),
        (unpack_content, pack_content(Content("short"))[0]),
    ):
        try:
            unpack(damaged(packed, how))
        except UnknownFormat:
            pass


def test_what_is_no_time_is_damage() -> None:
    for wrong in (-1, LAST_MS):
        with pytest.raises(UnknownFormat):
            unpack_head(pack_head(head(accepted_ms=wrong)))
        leg = Leg(LegState.READY, "bulk", "relay", (Status.QUEUED,))
        for changed in ({"give_up_ms": wrong}, {"history": (Attempt(wrong, "relay", ()),)}):
            with pytest.raises(UnknownFormat):
                unpack_leg(pack_leg(msgspec.structs.replace(leg, **changed)))


def test_a_damaged_past_does_not_hide_the_last_attempts() -> None:
    history = tuple(Attempt(at, "relay", ()) for at in range(9))
    packed = pack_leg(Leg(LegState.READY, "bulk", "relay", (Status.QUEUED,), history=history))
    start = packed.index(b"x\x9c")
    leg = unpack_leg(packed[:start] + b"damage" + packed[start + 6 :])
    assert leg.all_attempts() == history[-5:]


def test_only_the_last_attempts_are_kept() -> None:
    history = tuple(Attempt(at, "relay", ()) for at in range(9))
    leg = Leg(LegState.READY, "bulk", "relay", (Status.QUEUED,), history=history)
    assert unpack_leg(pack_leg(leg)).history == history[-5:]


def test_newer_formats_are_told_and_not_guessed() -> None:
    packed = pack_leg(Leg(LegState.READY, "bulk", "relay", (Status.QUEUED,)))
    for unpack, value in (
        (unpack_leg, b"\x02" + packed[1:]),
        (unpack_head, b"\x02abc"),
        (unpack_content, b"\x09abc"),
    ):
        with pytest.raises(NewerFormat):
            unpack(value)
        for damage in (b"", b"\0", b"\xff", b"{"):
            with pytest.raises(UnknownFormat) as caught:
                unpack(damage + value[1:])
            assert caught.type is UnknownFormat


def head(count: int = 1, **fields: object) -> Head:
    people = tuple(Recipient("to", f"r{n}@b.test", "Ünïcode") for n in range(count))
    base = Head("app", "critical", "<1@a.test>", Address("a@a.test"), "a@a.test", people, "s", 1)
    return msgspec.structs.replace(base, **fields)


def test_a_head_survives_packing() -> None:
    full = head(3, send_at_ms=5, metadata={"a": "b"}, tags=("x",), on_uncertain="hold")
    assert unpack_head(pack_head(full)) == full


def test_a_field_at_the_end_of_a_head_is_no_new_format() -> None:
    """Releases read one another's records: workers are replaced one by one."""
    new = head(metadata={"a": "b"}, content_bytes=7, request_id="req-1", list="news")
    fields = list(get_type_hints(Head).items())
    assert fields[-1][0] == "list"
    older = msgspec.defstruct("Head", fields[:-1], array_like=True)
    record = older(*(getattr(new, name) for name, _ in fields[:-1]))
    written = b"\x01" + msgspec.msgpack.encode(record)
    assert unpack_head(written) == msgspec.structs.replace(new, list="")
    assert msgspec.msgpack.decode(pack_head(new)[1:], type=older) == record


@pytest.mark.parametrize("text", ["", "short", "long " * 10_000])
def test_content_survives_compression(text: str) -> None:
    content = Content(text, None, attachments=(Attachment("f", "a/b", b"\0\xff"),))
    packed, size = pack_content(content)
    assert unpack_content(packed) == content
    assert len(packed) <= size + 1


def test_a_decompression_bomb_is_refused() -> None:
    packed, _ = pack_content(Content("x" * 1_000_000))
    with pytest.raises(UnknownFormat):
        unpack_content(packed, limit_bytes=1000)


def test_ids() -> None:
    identifier = new_message_id()
    assert parse_external(external(identifier)) == identifier
    assert message_of(leg_id(identifier, 7)) == identifier
    for bad in ("", "msg_", "msg_" + "G" * 32, "msg_" + "0" * 33, external(identifier) + "\n"):
        assert parse_external(bad) is None


def test_every_status_has_its_letter_and_its_successors() -> None:
    assert len({status.letter for status in Status}) == len(Status)
    assert set(FOLLOWS) == set(Status)
    for status in FINAL:
        assert FOLLOWS[status] <= {Status.BOUNCED}
    assert OPEN.isdisjoint(FINAL)


def test_static_legs_hold_at_most_100_recipients() -> None:
    found = legs_of(head(150, send_at_ms=2000), 1000, Routes(Settings()))
    assert [len(leg.statuses) for leg in found] == [100, 50]
    assert [leg.recipients[0] for leg in found] == [0, 100]
    assert {leg.state for leg in found} == {LegState.WAITING}
    assert {leg.legs for leg in found} == {2}
    (single,) = legs_of(head(on_uncertain="hold"), 1000, Routes(Settings()))
    assert (single.state, single.flags) == (LegState.READY, LegFlag.HOLD)


def test_b29_api_keys() -> None:
    text, key = api_keys.generate("app", (), CLASSES, ManualClock())
    parsed = api_keys.parse(text)
    assert parsed is not None
    assert parsed[0] == key.id
    assert parsed[1].encode() not in key.secret_sha256
    assert api_keys.matches(key, parsed[1])
    assert not api_keys.matches(key, "x" * 43)
    assert not api_keys.matches(None, parsed[1])
    revoked = msgspec.structs.replace(key, revoked_ms=1)
    assert not api_keys.matches(revoked, parsed[1])


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "posthaste.toml"
    path.write_text(text)
    return path


def test_settings_come_from_file_and_environment(tmp_path: Path) -> None:
    path = write(tmp_path, "[retry]\nschedule_seconds = [1, 2.5]\n[web]\nthreads = 4\n")
    found = load(path, {"POSTHASTE_WEB_THREADS": "8", "POSTHASTE_RETRY_JITTER": "0", "PATH": "x"})
    assert list(found.retry.schedule_seconds) == [1, 2.5]
    assert found.web.threads == 8
    assert load(path, {}).web.threads == 4
    listed = load(None, {"POSTHASTE_RETRY_SCHEDULE_SECONDS": "1, 2"})
    assert list(listed.retry.schedule_seconds) == [1, 2]


@pytest.mark.parametrize(
    ("text", "environment", "words"),
    [
        ("[relay]\nconections = 5\n", {}, ["relay.conections", "relay.connections"]),
        ("[rely]\n", {}, ["rely", "relay"]),
        ("[web]\nthreads = 'many'\n", {}, ["web.threads"]),
        ("not toml", {}, ["not valid TOML"]),
        ("", {"POSTHASTE_WEB_THREDS": "1"}, ["POSTHASTE_WEB_THREDS", "POSTHASTE_WEB_THREADS"]),
        ("", {"POSTHASTE_WEB_THREADS": "many"}, ["web.threads"]),
        ("default_class = 'urgent'", {}, ["default_class"]),
    ],
)
def test_wrong_settings_name_themselves_and_the_nearest(
    tmp_path: Path, text: str, environment: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), environment)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path / "absent.toml", {})


def test_addresses_of_listeners() -> None:
    assert host_and_port("[::1]:25", "x") == ("::1", 25)
    for bad in ("25", "host:", "host:99999", ":1"):
        with pytest.raises(ConfigError, match=r"web\.listen"):
            host_and_port(bad, "web.listen")


def test_the_embedded_server_is_durable_and_local(tmp_path: Path) -> None:
    text = server_config(tmp_path, socket=tmp_path / "s")
    for line in ("appendfsync always", "maxmemory-policy noeviction", "bind 127.0.0.1", "port 0"):
        assert line in text.splitlines()


def test_the_embedded_server_gets_the_best_allocator_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_JEMALLOC", (str(tmp_path),))
    assert list(embedded.server_environment()) == ["GLIBC_TUNABLES"]
    library = tmp_path / "libjemalloc.so.2"
    library.touch()
    assert embedded.server_environment() == {"LD_PRELOAD": str(library)}


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().web.threads = 1  # type: ignore[misc]


def deferrals(
    count: int, text: str = "4.7.0 try again later, 451 4.7.0 greylisted"
) -> list[Attempt]:
    return [
        Attempt(1_800_000_000_000 + at, "relay", (RecipientReply(0, "f", 451, "4.7.0", text),))
        for at in range(count)
    ]


def test_every_attempt_of_five_days_is_kept_in_little_space() -> None:
    leg = Leg(LegState.READY, "bulk", "relay", (Status.DEFERRED,))
    for each in deferrals(70):
        packed = pack_history((*leg.history, each), leg.earlier)
        history, earlier = unpack_history(packed)
        leg = msgspec.structs.replace(leg, history=history, earlier=earlier)
    assert leg.all_attempts() == tuple(deferrals(70))
    assert len(leg.history) == 5
    assert unpack_leg(pack_leg(leg)) == leg
    assert len(packed) < 1500


def test_the_history_is_bounded_whatever_servers_say() -> None:
    noise = random.Random(1)
    leg = Leg(LegState.READY, "bulk", "relay", (Status.DEFERRED,))
    for each in deferrals(700):
        text = "".join(chr(noise.randrange(32, 0x3000)) for _ in range(200))
        reply = msgspec.structs.replace(each.replies[0], text=text)
        each = msgspec.structs.replace(each, replies=(reply,))
        history, earlier = unpack_history(pack_history((*leg.history, each), leg.earlier))
        leg = msgspec.structs.replace(leg, history=history, earlier=earlier)
    assert len(pack_leg(leg)) < 24_000
    assert leg.all_attempts()[-1] == each
