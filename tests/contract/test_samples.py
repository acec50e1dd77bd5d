"""Bytes that were once on the wire go on decoding. Never edit a sample: add a file."""

from pathlib import Path

import pytest

from stream.wire import WireError, decode_event, encode_event

SAMPLES = sorted((Path(__file__).parent / "samples").glob("v*/*.json"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_sample_decodes(path):
    event = decode_event(path.read_bytes(), path.stem.split("-")[0])
    assert decode_event(encode_event(event)) == event


def test_there_are_samples_of_every_kind():
    assert {p.stem.split("-")[0] for p in SAMPLES} == {"call", "sms", "card"}


def test_fields_from_the_future_are_ignored():
    event = decode_event(b'{"kind":"card","id":"1","time":1790000000000,"msisdn":"1","phase":"woke","new":[{}]}')
    assert event.id == "1"


def test_versions_from_the_future_are_refused():
    with pytest.raises(WireError) as error:
        decode_event(b'{"kind":"card","v":2,"id":"1","time":1790000000000,"msisdn":"1","phase":"woke"}')
    assert error.value.code == "unknown_version"
