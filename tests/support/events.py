"""Hypothesis strategies for events, numbers and lists: the shapes that arrive, the odd ones included."""

from __future__ import annotations

from hypothesis import strategies as st

from detectors.lists import Entry, ListKind
from detectors.lists.entry import Provenance
from detectors.model.events import CallEvent, CardEvent, SmsEvent

T0 = 1_790_000_000_000

digits = st.text("0123456789", min_size=1, max_size=20)
mobiles = st.builds(lambda d: f"1{d[0]}{d[1:]}", st.from_regex(r"[3-9][0-9]{9}", fullmatch=True))
written = st.sampled_from(["", "+86", "86", "0086", "+86 ", "0"])
numbers = st.one_of(
    st.builds(str.__add__, written, mobiles),
    st.sampled_from(["110", "10086", "95588", "0731110", "+86110", "anonymous", "", "106901234567", "+41215601234"]),
    digits,
    st.text(max_size=32),
)
times = st.integers(T0, T0 + 3_600_000)
texts = st.text(max_size=200)


@st.composite
def events(draw):
    kind = draw(st.sampled_from(["call", "sms", "card"]))
    common = {"id": draw(st.uuids()).hex, "time": draw(times), "a_number": draw(numbers)}
    if kind == "call":
        return CallEvent(
            **common, b_number=draw(numbers), phase=draw(st.sampled_from(["attempt", "answered", "ended"]))
        )
    if kind == "sms":
        return SmsEvent(**common, b_number=draw(numbers), text=draw(texts))
    counts = st.none() | st.integers(0, 40)
    return CardEvent(
        **common,
        phase=draw(st.sampled_from(["sold", "activated", "roamed", "woke", "re-verified", "counted"])),
        visited_plmn=draw(st.sampled_from([None, "46000", "45606"])),
        identity_cards=draw(counts),
        identity_channels=draw(counts),
        agent_cards=draw(counts),
    )


provenances = st.builds(
    Provenance,
    kind=st.sampled_from(list(ListKind)),
    source=st.sampled_from(["operator-a", "operator-b"]),
    weight=st.none() | st.floats(0, 200),
    added=st.integers(0, T0 + 1000),
    expires=st.none() | st.integers(T0, T0 + 7_200_000),
)
entries = st.builds(
    Entry,
    number=st.sampled_from(["+861", "+8613", "+86138", "+8613800001234", "110", "100", "10086", "955"])
    | mobiles.map("+86".__add__),
    provenance=provenances,
    prefix=st.booleans(),
) | st.builds(
    lambda first, size, provenance: Entry(f"+86{first}", provenance, last=f"+86{first + size}"),
    st.integers(13800000000, 13800002000),
    st.integers(0, 5000),
    provenances,
)
