import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.model.decision import Decision, Reason
from detectors.model.events import KIND_OF
from stream.wire import (
    CODES,
    WireError,
    ce_headers,
    decode_decision,
    decode_event,
    decode_events,
    encode_decision,
    encode_event,
)
from tests.support.events import events


def try_decode(value, kind=None):
    """The event, or the error: which must be of the closed set and name a place."""
    try:
        return decode_event(value, kind)
    except WireError as refused:
        error = refused
    assert error.code in CODES
    assert "$" in str(error)
    return error


@given(events())
def test_event_round_trip(event):
    decoded = try_decode(encode_event(event))
    if isinstance(decoded, WireError):  # only a NUL may be refused
        assert decoded.code == "nul"
        assert b"\\u0000" in encode_event(event)
    else:
        assert decoded == event


good = st.sampled_from(["call", "sms"]).flatmap(lambda kind: events().filter(lambda e: KIND_OF[type(e)] == kind))
values = st.lists(st.one_of(good.map(encode_event), st.none(), st.binary(max_size=20)), max_size=8)


@given(values, st.sampled_from(["call", "sms", "card"]))
def test_a_chunk_is_decoded_as_its_values_one_by_one(chunk, kind):
    each = [try_decode(value, kind) for value in chunk]
    found, errors = decode_events(chunk, kind)
    assert found == [e for e in each if not isinstance(e, WireError)]
    assert {i: (e.code, str(e)) for i, e in errors.items()} == {
        i: (e.code, str(e)) for i, e in enumerate(each) if isinstance(e, WireError)
    }


@given(st.binary(max_size=300))
@settings(max_examples=500)
def test_random_bytes_are_refused_by_name(value):
    assert isinstance(try_decode(value), WireError)


@given(events(), st.data())
@settings(max_examples=300)
def test_mutated_bytes_never_raise_anything_else(event, data):
    value = bytearray(encode_event(event))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    try_decode(bytes(value[: data.draw(st.integers(0, len(value)))]))


@given(events(), st.sampled_from(["id", "time", "a_number", "msisdn", "text", "phase", "a_e164", "visited_plmn"]))
def test_wrong_types_name_the_field_and_hide_the_value(event, field):
    fields = msgspec.json.decode(encode_event(event))
    if field not in fields:
        return
    fields[field] = {"secret": "13800001234"}
    error = try_decode(msgspec.json.encode(fields))
    assert isinstance(error, WireError)
    assert f"$.{field}" in str(error)
    assert "13800001234" not in str(error)


@pytest.mark.parametrize("field", ["phase", "encoding", "route", "kind"])
def test_a_choice_outside_the_set_is_not_quoted(field):
    fields = {
        "kind": "sms",
        "id": "1",
        "time": 1790000000000,
        "a_number": "1",
        "b_number": "2",
        "text": "x",
        "phase": 1,
    }
    if field == "phase":
        fields["kind"] = "call"
    fields[field] = "13800001234"
    error = try_decode(msgspec.json.encode(fields))
    assert f"$.{field}" in str(error)
    assert "13800001234" not in str(error)


@given(events())
def test_headers_are_cloudevents(event):
    headers = dict(ce_headers(event))
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"].decode() == event.id
    assert headers["ce_type"].decode().endswith(".v1")
    assert headers["ce_time"].endswith(b"Z")


reasons = st.builds(Reason, *[st.text()] * 3, st.floats(0, 9), st.text(), st.text())
decisions = st.builds(
    Decision,
    event_id=st.text(),
    kind=st.just("sms"),
    time=st.integers(0, 2**53),
    subject=st.text(),
    action=st.just("warn"),
    score=st.floats(allow_nan=False, allow_infinity=False),
    lists=st.text(),
    rules=st.text(),
    reasons=st.lists(reasons).map(tuple),
)


@given(decisions)
def test_decision_round_trip(decision):
    assert decode_decision(encode_decision(decision)) == decision
