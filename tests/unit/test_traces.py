"""Trace headers of single records, worked out by hand; the extra that is missing."""

from __future__ import annotations

import sys
from hashlib import blake2b

import pytest

from stream.settings import Settings
from stream.traces import PARENT, STATE, Traces, read
from stream.tracing import TracesError, build_traces

VALID = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"  # the example of the standard


def test_an_event_without_headers_costs_nothing():
    assert Traces.carry([], "e") == Traces.carry([("ce_id", b"1")], "e") == []


def test_a_traced_event():
    headers = Traces.carry([("ce_id", b"1"), (PARENT, VALID), (STATE, b"rojo=1"), (STATE, b" congo=2 ,,")], "e")
    (parent_name, parent), (state_name, state) = headers
    assert (parent_name, state_name, state) == ("traceparent", "tracestate", b"rojo=1,congo=2")
    version, trace, span, flags = parent.decode().split("-")
    assert (version, trace, flags) == ("00", "0af7651916cd43dd8448eb211c80319c", "01")
    seed = b"0af7651916cd43dd8448eb211c80319c" + b"b7ad6b7169203331" + b"e"
    assert span == blake2b(seed, digest_size=8, person=b"lanjie.decision").hexdigest()


def test_a_bad_state_does_not_cost_the_parent():
    assert [name for name, _ in Traces.carry([(PARENT, VALID), (STATE, "ключ=1".encode())], "e")] == [PARENT]


def test_two_parents_are_none():
    assert Traces.carry([(PARENT, VALID), (PARENT, VALID)], "e") == []


def test_flags_that_are_not_defined_are_not_carried():
    assert Traces.carry([(PARENT, VALID[:-2] + b"fe")], "e")[0][1].endswith(b"-02")
    assert not read([(PARENT, VALID[:-2] + b"fe")]).sampled


def test_names_are_as_the_standard_has_them():
    assert Traces.carry([("Traceparent", VALID)], "e") == []


def test_without_an_endpoint_nothing_is_told():
    assert not build_traces(Settings()).told


def test_without_its_packages_an_endpoint_is_refused(monkeypatch: pytest.MonkeyPatch):
    for name in [each for each in sys.modules if each.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "stream.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(TracesError) as refused:
        build_traces(Settings(otlp_endpoint="http://c:4318"))
    assert str(refused.value) == (
        "LANJIE_OTLP_ENDPOINT=http://c:4318: the package opentelemetry is missing; "
        "expected what `pip install lanjie[otlp]` brings"
    )
