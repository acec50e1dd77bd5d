"""Metrics: the bulk histogram against the client's own, names and label sets."""

import re
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest

from stream.metrics import END_TO_END_BOUNDS, STATES, BulkHistogram, Metrics


def buckets(registry: CollectorRegistry) -> list[str]:
    lines = generate_latest(registry).decode().splitlines()
    return sorted(line for line in lines if re.match(r"latency_(bucket|count)", line))


@given(st.lists(st.lists(st.integers(0, 400_000), max_size=30), max_size=5))
def test_bulk_histogram_counts_as_the_clients_own(rounds):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    bulk = BulkHistogram("latency", "d", "topic", END_TO_END_BOUNDS)
    ours.register(bulk)
    single = Histogram("latency", "d", ["topic"], registry=theirs, buckets=END_TO_END_BOUNDS)
    for values in rounds:
        bulk.observe_ms("sms", sorted(values))
        single.labels("sms")
        for value in values:
            single.labels("sms").observe(value / 1000)
    assert buckets(ours) == buckets(theirs)


def test_bounds_belong_to_their_bucket():
    registry = CollectorRegistry()
    bulk = BulkHistogram("latency", "d", "topic", (0.1, 1.0))
    registry.register(bulk)
    bulk.observe_ms("sms", [100, 1000, 1100])
    assert registry.get_sample_value("latency_bucket", {"topic": "sms", "le": "0.1"}) == 1
    assert registry.get_sample_value("latency_bucket", {"topic": "sms", "le": "1.0"}) == 2
    assert registry.get_sample_value("latency_bucket", {"topic": "sms", "le": "+Inf"}) == 3
    assert registry.get_sample_value("latency_sum", {"topic": "sms"}) == 2.2


def test_lag_and_readiness_are_asked_for_when_scraped():
    registry = CollectorRegistry()
    lag: dict[tuple[str, int], int] = {}
    source = SimpleNamespace(state="recovering", in_flight=3, recovering=2, lag=lambda: lag, unready=list)
    Metrics(registry).watch(source)
    lag["sms", 2] = 17
    assert registry.get_sample_value("lanjie_consumer_lag_records", {"topic": "sms", "partition": "2"}) == 17
    assert registry.get_sample_value("lanjie_in_flight_chunks") == 3
    assert registry.get_sample_value("lanjie_ready") == 1
    assert registry.get_sample_value("lanjie_recovering_partitions") == 2
    found = {state: registry.get_sample_value("lanjie_worker_state", {"state": state}) for state in STATES}
    assert found == {state: float(state == "recovering") for state in STATES}


def test_names_follow_prometheus():
    registry = CollectorRegistry()
    Metrics(registry)
    for family in registry.collect():
        assert family.name.startswith("lanjie_")
        assert family.documentation.endswith(".")
        assert not re.search(r"_(ms|millis|milliseconds|us)$", family.name)
        if "latency" in family.name or family.name.endswith("stage"):
            assert family.name.endswith("_seconds")
