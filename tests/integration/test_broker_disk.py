"""The broker's disk is full: a broker of its own, whose files may not grow any more."""

from __future__ import annotations

import asyncio
import json
import resource
from pathlib import Path

from aiokafka import ConsumerRecord

from stream.cli.kafka_local import LocalKafka, free_port
from stream.topics import ALL
from stream.wire import decode_decision
from tests.integration.test_live_changes import sms
from tests.support.topics import create_topics
from tests.support.worker import Pipeline

#: Bytes. Less than the records of this test take, more than the broker's own files have by then.
FULL = 64 << 10
EVENTS = 4_000


def _ids(records: list[ConsumerRecord]) -> set[str]:
    return {decode_decision(record.value).event_id for record in records}


async def test_a_worker_waits_for_a_broker_whose_disk_is_full_and_goes_on_when_there_is_room(tmp_path: Path):
    broker = LocalKafka(tmp_path / "kafka", free_port(), die_with_parent=True)
    (tmp_path / "worker").mkdir()
    pipeline = Pipeline(await asyncio.to_thread(broker.up), tmp_path / "worker")
    await create_topics(pipeline.bootstrap, {pipeline.prefix + topic.name: topic.partitions for topic in ALL})
    worker = await pipeline.start()
    try:
        await worker.until("/ready", lambda body: json.loads(body)["ready"])
        resource.prlimit(broker.status().pid, resource.RLIMIT_FSIZE, (FULL, FULL))
        names = [f"e-{n}" for n in range(EVENTS)]
        publishing = asyncio.create_task(pipeline.publish(sms(names)))
        while broker.status():  # a broker that cannot write stops, as Kafka says it should (KIP-112)
            await asyncio.wait((publishing,), timeout=0.1)
        assert not publishing.done()
        await worker.until("/ready", lambda body: not json.loads(body)["ready"])
        assert await asyncio.to_thread(broker.up) == pipeline.bootstrap
        await publishing
        await pipeline.decisions(lambda seen: _ids(seen) == set(names))
        await worker.until("/ready", lambda body: json.loads(body)["ready"])
    finally:
        for each in pipeline.workers:
            if each.process.returncode is None:
                each.process.kill()
        await asyncio.to_thread(broker.down)
