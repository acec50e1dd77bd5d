"""Rounds: which chunks are decided together, in which order, and that nothing is decided after a failure."""

import asyncio
from types import SimpleNamespace

import pytest

from stream.agents.intercept import Interceptor
from stream.chunks import Chunk
from stream.clock import SystemClock
from stream.progress import Progress


class Stream:
    """What an agent iterates over: a chunk each turn of the loop, as Faust's."""

    def __init__(self, events):
        self._events = events

    def noack(self):
        return self

    async def events(self):
        for event in self._events:
            await asyncio.sleep(0)
            yield event


class Desk:
    """Says what it decided; ``raises`` on the chunk that begins there."""

    def __init__(self, name, raises=None):
        self.name, self.raises, self.decided = name, raises, []

    def key(self, event):
        return self.name, event.message.partition

    def open(self, event, records):
        first = records[0].offset
        return SimpleNamespace(
            desk=self, event=event, key=self.key(event), shard=event.message.partition, first=first,
            last=records[-1].offset, events=records, lists_only=False, rows=[], letters=[], seen=None, looked=0.0,
        )  # fmt: skip

    def decide(self, work):
        if work.first == self.raises:
            raise ZeroDivisionError
        self.decided.append((*work.key, work.first))

    def delivered(self, work):
        assert work.event.acked


class Event:
    def __init__(self, partition, first, count=10):
        self.message = SimpleNamespace(partition=partition)
        self.value = Chunk([SimpleNamespace(offset=offset) for offset in range(first, first + count)])
        self.acked = False

    def ack(self):
        self.acked = True
        self.value.ack()


class Engine:
    def __init__(self):
        self.looks = []

    def look(self, parts, shards):
        assert len(parts) == len(shards)
        self.looks.append([len(part) for part in parts])
        return [object() for _ in parts]


class Outbox:
    def send(self, outgoing):
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


def interceptor(engine, progress, failures, max_events=1000):
    return Interceptor(
        engine=engine, outbox=Outbox(), fail=failures.append, clock=SystemClock(), progress=progress,
        max_events=max_events,
    )  # fmt: skip


async def bring(it, *desks_and_events):
    await asyncio.gather(*(it.agent(desk)(Stream(events)) for desk, events in desks_and_events))
    await asyncio.sleep(0.01)


async def test_what_all_agents_bring_is_looked_at_together_and_decided_in_the_order_of_arrival():
    engine, progress, calls, sms = Engine(), Progress(), Desk("calls"), Desk("sms")
    events = [Event(0, 0), Event(1, 0, 5)], [Event(0, 100, 7)]
    await bring(interceptor(engine, progress, []), (calls, events[0]), (sms, events[1]))
    assert engine.looks == [[10, 7, 5]]
    assert calls.decided == [("calls", 0, 0), ("calls", 1, 0)]
    assert sms.decided == [("sms", 0, 100)]
    assert progress.decided == {("calls", 0): 10, ("calls", 1): 5, ("sms", 0): 107}
    assert progress.undelivered == 0
    assert all(event.acked for each in events for event in each)


async def test_a_round_has_one_chunk_of_a_partition_and_no_more_than_its_events():
    engine, desk = Engine(), Desk("calls")
    events = [Event(0, 0), Event(1, 0), Event(1, 10), Event(2, 0), Event(3, 0), Event(4, 0)]
    await bring(interceptor(engine, Progress(), [], max_events=25), (desk, events))
    assert engine.looks == [[10, 10], [10, 10], [10, 10]]
    assert [first for *_, first in desk.decided] == [0, 0, 10, 0, 0, 0]


async def test_what_was_decided_before_is_passed_over_but_acked():
    progress, desk = Progress(), Desk("calls")
    progress.decided["calls", 0] = 15
    events = [Event(0, 0), Event(0, 10)]
    await bring(interceptor(Engine(), progress, []), (desk, events))
    assert desk.decided == [("calls", 0, 15)]
    assert all(event.acked for event in events)


async def test_after_a_failure_nothing_more_is_decided_or_acked():
    failures, desk = [], Desk("calls", raises=0)
    it = interceptor(Engine(), Progress(), failures)
    await bring(it, (desk, [Event(0, 0), Event(1, 50)]))
    later = Event(1, 60)
    await bring(it, (desk, [later]))
    assert [type(each) for each in failures] == [ZeroDivisionError]
    assert desk.decided == []
    assert not later.acked


@pytest.mark.parametrize("closed", [0, 1])
async def test_while_the_gate_is_closed_nothing_is_decided(closed):
    progress, desk = Progress(), Desk("calls")
    if closed:
        progress.gate.clear()
    await bring(interceptor(Engine(), progress, []), (desk, [Event(0, 0)]))
    assert bool(desk.decided) is not bool(closed)
    progress.gate.set()
    await asyncio.sleep(0.01)
    assert desk.decided == [("calls", 0, 0)]
