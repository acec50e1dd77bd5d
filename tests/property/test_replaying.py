"""A log through several processes gives what one process gives, and what an engine gives that is handed each shard."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as kafka_murmur2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from detectors.engine import Engine
from detectors.model.events import CallEvent, CardEvent, Event, SmsEvent
from stream.clock import SystemClock
from stream.metrics import Metrics
from stream.replaying.decide import Decide, joined
from stream.replaying.resume import Resume
from stream.replaying.route import murmur2
from stream.replaying.run import ReplayError, run_jobs
from stream.replaying.tally import Chained, digest_of
from stream.sources import load_snapshot
from stream.wire import encode_decision, encode_event

T0 = 1_790_000_000_000
BAD = [b"no json", b'{"kind":"sms","id":"x","time":1}', b'{"a_number":17}', b"[]", b'"\\ud800"', b"\xff\xfe"]
TEXTS = ["您的工行账户积分今日到期，请登录 http://a.example.com 兑换现金", "晚上七点老地方见", "hi"]


@pytest.fixture(scope="module")
def snapshot():
    return load_snapshot((), metrics=Metrics(CollectorRegistry()), clock=SystemClock())


def events(seed: int, count: int) -> list[Event]:
    rng = random.Random(seed)
    made: list[Event] = []
    for n in range(count):
        a, b = f"1390000{rng.randrange(30):04d}", f"1370000{rng.randrange(400):04d}"
        common = {"id": f"e{n}", "time": T0 + n * 137, "a_number": a}
        if rng.random() < 0.3:
            common["a_e164"] = "+86" + a
        match rng.randrange(5):
            case 0:
                made.append(CardEvent(**common, phase="woke"))
            case 1 | 2:
                made.append(SmsEvent(**common, b_number=b, text=rng.choice(TEXTS)))
            case _:
                made.append(CallEvent(**common, b_number=b))
    return made


def run(path, snapshot, processes, shards=5):
    lines, rejects = [], []
    ran = run_jobs(
        [str(path)],
        lambda: Decide(Engine(snapshot), output=True),
        processes=processes,
        shards=shards,
        write=lines.extend,
        on_reject=rejects.append,
    )
    tally, digests = joined(ran.results)
    return lines, rejects, tally, digest_of(digests.items()), ran


def test_in_several_processes_as_in_one_and_as_shard_by_shard(snapshot, tmp_path):
    rng, made = random.Random(7), events(7, 12_000)
    rows: list[bytes] = []
    for event in made:
        rows.append(encode_event(event))
        if rng.random() < 0.01:
            rows.append(rng.choice(BAD))
    path = tmp_path / "log"
    path.write_bytes(b"\n".join(rows) + b"\n\n")

    partitioner, by_shard = DefaultPartitioner(), defaultdict(list)
    for event in made:
        key = (event.a_e164 or event.a_number).encode()
        by_shard[partitioner(key, list(range(5)), list(range(5)))].append(event)
    engine, expected = Engine(snapshot), {}
    for shard, own in by_shard.items():
        expected |= {each.event_id: encode_decision(each) for each in engine.decide(own, shard=shard)}

    one = run(path, snapshot, 1)
    assert one[0] == [expected[event.id] for event in made]
    assert any(b'"action":"allow"' not in line for line in one[0])
    assert len(one[1]) == len(rows) - len(made) == one[4].rejected.total()
    assert [reject.raw for reject in one[1]] == [row for row in rows if row in BAD]
    assert one[2].late == engine.late_events
    for processes in (2, 3, 5, 9):
        assert run(path, snapshot, processes)[:4] == one[:4]
    assert run(path, snapshot, 1, shards=3)[3] != one[3]


def test_what_a_process_cannot_do_the_parent_says(snapshot, tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"\n".join(map(encode_event, events(1, 50))))

    class Broken(Decide):
        def decide(self, shard, events, positions):
            raise RuntimeError("a fault of the job")

    with pytest.raises(ReplayError, match="a fault of the job"):
        run_jobs([str(path)], lambda: Broken(Engine(snapshot), output=False), processes=2, shards=4)


def test_a_log_cut_short_is_decided_as_far_as_it_goes_by_all(snapshot, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    rows = list(map(encode_event, events(2, 3000)))
    whole.write_bytes(b"\n".join(rows))
    cut.write_bytes(b"\x28\xb5\x2f\xfd damaged")
    lines, *_, ran = run(whole, snapshot, 2)
    assert (len(lines), ran.cut) == (3000, "")
    both: list[bytes] = []
    ran = run_jobs(
        [str(whole), str(cut)],
        lambda: Decide(Engine(snapshot), output=True),
        processes=2,
        shards=5,
        write=both.extend,
    )
    assert both == lines
    assert "damaged" in ran.cut


@given(st.lists(st.binary(max_size=40), max_size=50))
def test_hashes_are_those_of_a_producer(keys):
    assert murmur2(keys).tolist() == [kafka_murmur2(key) & 0xFFFFFFFF for key in keys]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200)), piece=st.integers(1, 64))
def test_a_digest_does_not_depend_on_how_its_bytes_came(data, cuts, piece, monkeypatch):
    monkeypatch.setattr("stream.replaying.tally._PIECE", piece)
    whole, parts = Chained(), Chained()
    whole.update(data)
    at = 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        parts.update(data[at:cut])
        parts = Chained(parts.link, parts.rest)  # as it is stored
        at = cut
    assert parts.digest() == whole.digest()


def test_what_was_not_rested_on_by_all_counts_for_nobody(snapshot, tmp_path):
    """A process may have rested where the others had not when all were killed; then another number of them goes on."""
    log, folder = tmp_path / "log", tmp_path / "resting"
    log.write_bytes(b"\n".join(map(encode_event, events(3, 900))))
    folder.mkdir()
    (folder / "hash-seed").write_text("1")

    def through(processes, every):
        resume = Resume(folder, {"a": "b"}, every)
        return run_jobs(
            [str(log)],
            lambda: Decide(Engine(snapshot), output=False),
            processes=processes,
            shards=5,
            resume=resume,
            on_rest=lambda ran: resume.keep(ran.events, {}, ran.rejected),
        )

    whole, _ = joined(through(2, 900).results)
    assert whole.decided == 900
    stale = folder / "900" / "1.found"
    assert stale.exists()
    (folder / "kept.json").unlink()  # killed before the parent knew
    again, _ = joined(through(1, 900).results)
    assert not stale.exists()
    assert again == whole
    after, digests = joined(through(3, 900).results)
    assert (after, len(digests)) == (whole, 5)


class Moving(Decide):
    """Says by what each event is decided."""

    moments = (T0 + 1000, T0 + 2000, T0 + 3000)

    def __init__(self, snapshot):
        super().__init__(Engine(snapshot), output=True)
        self.now = None

    def move(self, moment):
        self.now = moment

    def decide(self, shard, events, positions):
        return b"".join(b"%s %d\n" % (event.id.encode(), self.now or 0) for event in events)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=st.lists(st.integers(T0 - 500, T0 + 3500) | st.just(T0 + 10**11), max_size=30), bad=st.integers(0, 30))
def test_each_event_goes_by_its_own_time_whatever_comes_before_it(snapshot, tmp_path, times, bad):
    made = [replace(event, time=time) for event, time in zip(events(4, len(times)), times, strict=True)]
    rows = list(map(encode_event, made))
    rows.insert(bad, b'{"kind":"call","time":9999999999999,"a_number":"1"}')
    (tmp_path / "log").write_bytes(b"\n".join(rows))
    expected = [f"{e.id} {max((m for m in Moving.moments if m <= e.time), default=0)}".encode() for e in made]
    for processes in (1, 2):
        lines = []
        run_jobs([str(tmp_path / "log")], lambda: Moving(snapshot), processes=processes, shards=3, write=lines.extend)
        assert lines == expected
