"""Trace Context against a model that follows the grammar of the standard character by character."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from stream.traces import PARENT, STATE, STATE_CHARS, Context, Traces, read, read_state

HEX = "0123456789abcdef"
LOWER = "abcdefghijklmnopqrstuvwxyz"


def is_hex(text: str, length: int) -> bool:
    return len(text) == length and all(char in HEX for char in text)


def parent_by_the_standard(value: bytes) -> tuple[str, str, int] | None:
    """Trace, span and the two defined flags."""
    text = value.decode("latin-1")
    version, parts, rest = text[:2], text[:55].split("-"), text[55:]
    known = is_hex(version, 2) and version != "ff" and (not rest if version == "00" else rest[:1] in {"", "-"})
    formed = [len(part) for part in parts] == [2, 32, 16, 2] and all(is_hex(part, len(part)) for part in parts)
    if not known or not formed or set(parts[1]) == {"0"} or set(parts[2]) == {"0"}:
        return None
    return parts[1], parts[2], int(parts[3], 16) % 4


def is_member(text: str) -> bool:
    key, equals, value = text.partition("=")
    tenant, at, system = key.partition("@")
    marks = LOWER + "0123456789_-*/"
    if at:
        named = (
            1 <= len(tenant) <= 241
            and tenant[0] in LOWER + "0123456789"
            and 1 <= len(system) <= 14
            and system[0] in LOWER
        )
    else:
        named = 1 <= len(key) <= 256 and key[0] in LOWER
    named = named and all(char in marks for char in tenant + system)
    allowed = all(0x20 <= ord(char) <= 0x7E and char not in ",=" for char in value)
    return bool(named and equals and 1 <= len(value) <= 256 and allowed and value[-1] != " ")


def members_by_the_standard(text: str) -> list[str]:
    members = [each.strip(" \t") for each in text.split(",") if each.strip(" \t")]
    keys = [member.partition("=")[0] for member in members]
    if len(members) > 32 or len(set(keys)) < len(keys) or not all(map(is_member, members)):
        return []
    return members


parents = st.one_of(
    st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,3})?", fullmatch=True),
    st.from_regex(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True),
    st.from_regex(r"0[01]-(0{32}|[0-9a-fA-F]{31,33})-(0{16}|[0-9a-f]{15,17})-[0-9a-fG]{2}.?", fullmatch=True),
).map(lambda text: text.encode("utf-8", "surrogatepass"))
members = st.one_of(
    st.from_regex(r"[a-z][a-z0-9_*/-]{0,8}(@[a-z][a-z0-9]{0,13})?=[ -~]{0,9}", fullmatch=True),
    st.from_regex(r"[a-z]{1,3}=[!-+]{1,140}", fullmatch=True),
    st.text("a1A@=, \t~é", max_size=6),
)


@given(st.one_of(parents, st.binary(max_size=60)))
@example(b"ff-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")
@example(b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01\n")
@example(b"cc-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01-what the future will be like")
def test_a_parent_is_read_as_the_standard_has_it(value: bytes):
    found = read([("other", b""), (PARENT, value)])
    assert (found and (found.trace.decode(), found.span.decode(), found.flags)) == parent_by_the_standard(value)


@given(st.lists(members, max_size=40))
@example([f"k{n}=v" for n in range(32)])
@example([f"k{n}=v" for n in range(33)])
@example(["a=1", "b=2", "a=3"])
@example([f"{'k' * 241}@{'s' * 14}={'v' * 40}"])
@example([f"{'k' * 242}@{'s' * 14}={'v' * 40}"])
@example(["k" * 256 + "=v"])
@example(["k" * 257 + "=v"])
def test_a_state_is_kept_whole_shortened_as_the_standard_says_or_dropped(given_members: list[str]):
    wanted = members_by_the_standard(",".join(given_members))
    kept = read_state([each.encode() for each in given_members]).decode()
    if len(",".join(wanted)) <= STATE_CHARS:
        assert kept == ",".join(wanted)
        return
    assert len(kept) <= STATE_CHARS
    left = kept.split(",") if kept else []
    assert left == [each for each in wanted if each in left], "in their order, none changed"
    gone = [each for each in wanted if each not in left]
    short_gone = [each for each in gone if len(each) <= 128]
    if short_gone:
        assert all(len(each) <= 128 for each in left), "long ones go first"
        assert wanted.index(short_gone[0]) > max((wanted.index(each) for each in left), default=-1), "then the oldest"


contexts = st.builds(
    Context,
    trace=st.from_regex(rb"[0-9a-f]{31}[1-9]", fullmatch=True),
    span=st.from_regex(rb"[0-9a-f]{15}[1-9]", fullmatch=True),
    flags=st.integers(0, 3),
    state=st.sampled_from([b"", b"a=b", b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"]),
)


@given(contexts)
def test_what_is_written_is_read_as_the_same(context: Context):
    assert read(context.headers()) == context


@given(contexts, st.text(), st.text())
def test_a_decision_is_a_child_of_its_event_and_the_same_in_a_replay(context: Context, event: str, other: str):
    carried = read(Traces.carry([("ce_id", b"x"), *context.headers()], event))
    assert carried == read(Traces.carry(context.headers(), event))
    assert (carried.trace, carried.flags, carried.state) == (context.trace, context.flags, context.state)
    assert carried.span != context.span
    if event != other:
        assert carried.span != context.child(other).span


@given(st.lists(st.tuples(st.sampled_from([PARENT, STATE, "x"]), st.one_of(st.none(), st.binary(max_size=70)))))
def test_no_headers_of_any_kind_stop_a_decision(headers: list[tuple[str, bytes]]):
    assert list(Traces.carry(headers, "e")) == [] or read(headers) is not None
