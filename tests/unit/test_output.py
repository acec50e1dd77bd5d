"""A lane after a failed delivery: nothing may pass for delivered that was not sent."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder

from stream.output import _Lane, _Parcel


class Producer:
    """Takes real batches; refuses the first ``refuse`` of them, at once or when they are due."""

    def __init__(self, refuse: int, *, late: bool) -> None:
        self.refuse, self.late, self.rows = refuse, late, 0

    def create_batch(self):
        return BatchBuilder(16_384, 0)

    async def send_batch(self, batch, topic, partition):
        sent = asyncio.get_running_loop().create_future()
        if self.refuse:
            self.refuse -= 1
            if not self.late:
                raise ConnectionError
            sent.set_exception(ConnectionError())
            return sent
        sent.set_result(SimpleNamespace(offset=self.rows))
        self.rows += batch.record_count()
        return sent


async def deliver(lane, count):
    delivery = asyncio.get_running_loop().create_future()
    lane.add(_Parcel([(b"k", b"v" * 100, [])] * count, delivery))
    return await asyncio.wait_for(asyncio.gather(delivery, return_exceptions=True), 10)


@pytest.mark.parametrize("late", [False, True])
async def test_after_a_loss_no_parcel_of_the_lane_is_delivered(late):
    failures = []
    producer = Producer(1, late=late)
    lane = _Lane(producer, "topic", 0, failures.append)
    first = await deliver(lane, 500)  # several batches
    second = await deliver(lane, 500)
    assert isinstance(first[0], ConnectionError)
    assert isinstance(second[0], ConnectionError)
    assert failures


async def test_a_parcel_of_several_batches_is_delivered_once_all_are():
    producer = Producer(0, late=False)
    lane = _Lane(producer, "topic", 0, pytest.fail)
    lane.end = 0
    assert await deliver(lane, 500) == [None]
    assert await deliver(lane, 3) == [None]
    assert producer.rows == lane.end == 503


async def test_a_lane_in_which_somebody_else_has_written_does_not_know_its_end():
    producer = Producer(0, late=False)
    lane = _Lane(producer, "topic", 0, pytest.fail)
    lane.end = 0
    await deliver(lane, 2)
    assert lane.end == 2
    producer.rows += 1
    await deliver(lane, 2)
    assert lane.end is None
    await deliver(lane, 2)
    assert lane.end is None


async def test_what_cannot_be_packed_fails_its_delivery():
    failures = []
    lane = _Lane(Producer(0, late=False), "topic", 0, failures.append)
    delivery = asyncio.get_running_loop().create_future()
    lane.add(_Parcel([(b"k", b"v", (("name", b"a tuple, where only lists are taken"),))], delivery))
    (error,) = await asyncio.wait_for(asyncio.gather(delivery, return_exceptions=True), 10)
    assert isinstance(error, TypeError)
    assert failures == [error]
    assert isinstance((await deliver(lane, 1))[0], TypeError)
