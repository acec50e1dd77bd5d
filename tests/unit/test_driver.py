"""The open-loop driver on a loop whose time passes only where somebody waits, into a broker client written here.

Batches are aiokafka's own and are read back with aiokafka's reader.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter, defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from detectors.model.events import CallEvent, SmsEvent
from loadtest import sample
from loadtest.driver import MAX_BATCH_BYTES, NAP, SLICE, WINDOW, Driver, Record, Schedule, partition_of, record_of
from loadtest.prepared import NullProducer, Prepared
from stream.kafka import Kafka
from stream.wire import ce_headers, encode_event

START_MS = 1_790_000_000_000
PARTITIONS = 4


class Selector(selectors.SelectSelector):
    """Nothing is ever ready before the time-out, which passes at once."""

    now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0.0
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    def __init__(self):
        super().__init__(selector := Selector())
        self.selector = selector

    def time(self):
        return self.selector.now


class Clock:
    """Agrees with the loop."""

    def wall_ms(self):
        return START_MS + int(asyncio.get_running_loop().time() * 1000)

    def monotonic(self):
        return asyncio.get_running_loop().time()


class Broker:
    """Keeps what it is sent, and when. ``delays``: seconds for the acknowledgement, batch by batch; then none."""

    def __init__(self, delays=(), *, fails=False, takes=0.0):
        self.delays, self.fails, self.takes = list(delays), fails, takes
        self.sent = []  # moment, topic, partition, records
        self.waiting = self.most_waiting = 0

    async def start(self):
        pass

    async def stop(self):
        pass

    async def partitions_for(self, topic):
        return set(range(PARTITIONS))

    def create_batch(self):
        asyncio.get_running_loop().selector.now += self.takes
        return BatchBuilder(MAX_BATCH_BYTES, 0)

    async def send_batch(self, batch, topic, *, partition):
        loop = asyncio.get_running_loop()
        records = list(MemoryRecords(bytes(batch._build())).next_batch())
        self.sent.append((loop.time(), topic, partition, records))
        self.waiting += len(records)
        self.most_waiting = max(self.most_waiting, self.waiting)
        return asyncio.ensure_future(self.acknowledge(len(records)))

    async def acknowledge(self, records):
        await asyncio.sleep(self.delays.pop(0) if self.delays else 0)
        if self.fails:
            raise ConnectionResetError
        self.waiting -= records

    @property
    def records(self):
        """Topic, partition, record, moment, in the order of sending."""
        return [(topic, part, record, at) for at, topic, part, records in self.sent for record in records]


def drive(broker, records, schedule, *, prepared, **options):
    async def main():
        async with Driver(Kafka.plain("nowhere:1"), Clock(), broker) as driver:
            if not prepared:
                return await driver.publish(records, schedule, **options)
            log = await Prepared.of(records, driver.partitions)
            return await driver.publish_slices(log.slices(schedule), schedule, **options)

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main())


def sms(n, time=START_MS):
    return SmsEvent(id=f"s{n}", time=time, a_number=f"+861380000{n % 50:04d}", b_number="10086", text="x")


both = pytest.mark.parametrize("prepared", [False, True], ids=["as it comes", "prepared"])


@both
def test_what_is_sent_reads_back_as_the_events_and_in_order(prepared):
    events = sample.load().events
    broker = Broker()
    done = drive(broker, [record_of(event) for event in events], Schedule(), prepared=prepared)
    assert done.records == len(events)
    by_key, expected = defaultdict(list), defaultdict(list)
    for topic, _, record, _ in broker.records:
        by_key[topic, record.key].append((record.value, [(name, bytes(value)) for name, value in record.headers]))
    topics = {"call": "telecom.calls.v1", "sms": "telecom.sms.v1", "card": "telecom.cards.v1"}
    for event in events:
        kind = event.__struct_config__.tag
        expected[topics[kind], event.a_number.encode()].append((encode_event(event), ce_headers(event)))
    assert by_key == expected
    assert done.by_topic == Counter(topic for topic, *_ in broker.records)


@both
def test_a_number_is_in_one_partition_whatever_the_kind(prepared):
    call = CallEvent(id="c", time=START_MS, a_number="+8613800000001", b_number="110")
    text = SmsEvent(id="s", time=START_MS, a_number="13800000001", a_e164="+8613800000001", b_number="110", text="x")
    broker = Broker()
    drive(broker, [record_of(call), record_of(text)], Schedule(), prepared=prepared)
    assert {part for _, part, *_ in broker.records} == {partition_of(b"+8613800000001", PARTITIONS)}


# From Kafka's own test of its hash (clients: UtilsTest.testMurmur2); the partitioner clears the sign.
@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_partitions_are_those_of_javas_partitioner(key, hashed):
    assert partition_of(key, 7) == (hashed & 0x7FFFFFFF) % 7


@both
def test_records_go_out_when_they_are_due(prepared):
    broker, stamps = Broker(), []
    done = drive(broker, map(record_of, map(sms, range(2_000))), Schedule(rate=400), prepared=prepared, stamps=stamps)
    assert stamps == [START_MS + int(n / 400 * 1000) for n in range(2_000)]
    sent = {record.value: (record.timestamp, at) for _, _, record, at in broker.records}
    for n, stamp in enumerate(stamps):
        timestamp, at = sent[encode_event(sms(n))]
        assert timestamp == stamp
        assert -NAP <= at - n / 400 <= 2 * NAP
    assert done.late_ms <= 1000 * NAP
    assert done.seconds == pytest.approx(1999 / 400, abs=2 * NAP)


@both
def test_the_logs_own_pace_sixty_times_as_fast(prepared):
    times = [0, 60_000, 30_000, 180_000]  # the third is late in the log: it goes with the one before it
    broker, stamps = Broker(), []
    records = [record_of(sms(n, START_MS + time)) for n, time in enumerate(times)]
    drive(broker, records, Schedule(speed=60), prepared=prepared, stamps=stamps)
    assert [stamp - START_MS for stamp in stamps] == [0, 1000, 1000, 3000]


@both
def test_a_broker_that_stalls_changes_no_timestamp_and_is_told(prepared):
    broker, stamps = Broker(delays=[10.0] * PARTITIONS), []
    done = drive(broker, map(record_of, map(sms, range(1_000))), Schedule(rate=500), prepared=prepared, stamps=stamps)
    assert stamps == [START_MS + 2 * n for n in range(1_000)]
    assert sorted(record.timestamp for _, _, record, _ in broker.records) == stamps
    assert done.late_ms <= 1000 * NAP, "the driver was in time: it put them aside"
    assert 9_000 <= done.held_ms <= 10_000
    assert done.seconds >= 10
    assert len(broker.sent) <= 3 * PARTITIONS, "what waited left together"


@both
def test_a_driver_that_is_too_slow_says_so(prepared):
    broker, stamps = Broker(takes=0.05), []  # seconds to begin a batch; 20 a second and partition are due
    done = drive(broker, map(record_of, map(sms, range(200))), Schedule(rate=80), prepared=prepared, stamps=stamps)
    assert done.late_ms >= 1_000
    assert stamps == [START_MS + int(n / 80 * 1000) for n in range(200)], "the time is the schedule's all the same"


@both
def test_at_full_speed_a_bounded_number_is_under_way(prepared):
    broker = Broker(delays=[0.2] * 1_000)
    done = drive(broker, map(record_of, map(sms, range(12 * SLICE))), Schedule(), prepared=prepared)
    assert done.records == len(broker.records) == 12 * SLICE
    assert broker.most_waiting <= WINDOW + SLICE
    assert done.late_ms == 0


@both
def test_a_record_larger_than_a_batch_and_one_without_a_value_pass(prepared):
    large = Record("telecom.sms.v1", b"k", b"x" * (MAX_BATCH_BYTES + 1), [], 0)
    records = [Record("telecom.sms.v1", b"k", b"a", [], 0), large, Record("telecom.sms.v1", b"k", None, [], 0)]
    broker = Broker()
    drive(broker, records, Schedule(), prepared=prepared)
    assert [record.value for _, _, record, _ in broker.records] == [b"a", large.value, None]


@both
@pytest.mark.parametrize("schedule", [{}, {"rate": 1_000}])
def test_what_the_broker_refuses_ends_it(prepared, schedule):
    broker = Broker(fails=True)
    with pytest.raises(ConnectionResetError):
        drive(broker, map(record_of, map(sms, range(5_000))), Schedule(**schedule), prepared=prepared)
    assert len(broker.records) < 5_000 or not schedule


def test_of_a_source_that_makes_events_of_the_moment_two_are_taken_ahead_at_most():
    taken = []

    def source():
        for n in range(20):
            taken.append(asyncio.get_running_loop().time())
            yield record_of(sms(n))

    drive(Broker(), source(), Schedule(rate=10), prepared=False)
    assert all(at >= (n - 2) / 10 - NAP for n, at in enumerate(taken))


def test_nothing_to_send():
    assert drive(Broker(), [], Schedule(rate=5), prepared=True).records == 0
    assert drive(Broker(), [], Schedule(speed=5), prepared=False).per_second == 0


def test_the_null_producer_takes_as_many_bytes_as_would_be_sent():
    records = [record_of(sms(n)) for n in range(3_000)]
    broker, null = Broker(), NullProducer(PARTITIONS)
    for sink in (broker, null):
        drive(sink, records, Schedule(), prepared=True)
    assert null.batches == len(broker.sent)
    assert null.bytes > sum(len(record.value) + len(record.key) for _, _, record, _ in broker.records)


ways = st.sampled_from([{}, {"rate": 0.5}, {"rate": 3e5}, {"speed": 1.0}, {"speed": 1e4}])


@given(st.lists(st.integers(START_MS, START_MS + 10_000), max_size=50), ways)
def test_a_whole_log_is_due_as_its_records_one_by_one(times, way):
    one_by_one = Schedule(**way)
    due = [one_by_one.due(SimpleNamespace(time=time)) for time in times]
    assert Schedule(**way).all_due(np.array(times, np.int64)).tolist() == pytest.approx(due)
    assert due == sorted(due)


@given(st.lists(st.integers(START_MS, START_MS + 10_000), max_size=50), ways)
def test_slices_hold_every_row_once_and_span_no_more_than_a_nap(times, way):
    rows = list(range(len(times)))
    log = Prepared(rows, np.array(times, np.int64))
    slices = list(log.slices(Schedule(**way)))
    assert [row for part in slices for row in part.rows] == rows
    assert all(part.due[-1] - part.due[0] <= NAP + 1e-9 for part in slices)
    assert all(len(part.due) == len(part.rows) for part in slices)
