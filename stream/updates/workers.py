"""What each worker has in force, told on ``intercept.workers.v1``: how a change knows that it has arrived."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from msgspec import Struct

from stream.clock import SystemClock
from stream.settings import Settings
from stream.topics import WORKERS
from stream.updates.tail import Tail


class WorkerState(Struct, frozen=True):
    """A worker, by ``group/host/pid``. ``delay_ms``: from when the change was written to when it was in force."""

    serial: int  #: of the newest change that it has in force
    lists: str
    rules: str
    time: int  #: ms UTC
    delay_ms: int
    refused: str = ""  #: why it keeps what it had, or does so yet


class Applied(NamedTuple):
    """How far a change has come."""

    workers: int
    done: int
    seconds: float

    @property
    def missing(self) -> int:
        """Workers that do not have it yet."""
        return self.workers - self.done


_decode = msgspec.json.Decoder(WorkerState).decode


async def worker_states(settings: Settings) -> dict[str, WorkerState]:
    """What every worker of the group said last; those that are gone for good included."""
    found: dict[str, WorkerState] = {}
    async with Tail(settings.kafka, {settings.topic_prefix + WORKERS.name: 0}) as tail:
        _note(found, await tail.to_end(), settings)
    return found


async def wait_until_applied(settings: Settings, serial: int, *, within: float) -> Applied:
    """Wait until as many workers as the group has members have a change in force, at most ``within`` seconds."""
    clock = SystemClock()
    started = clock.monotonic()
    found: dict[str, WorkerState] = {}
    members = await _members(settings)
    async with Tail(settings.kafka, {settings.topic_prefix + WORKERS.name: 0}) as tail:
        _note(found, await tail.to_end(), settings)
        while (done := sum(s.serial >= serial and not s.refused for s in found.values())) < members:
            left = within - (clock.monotonic() - started)
            if left <= 0:
                break
            _note(found, await tail.more(min(left, 0.1)), settings)
    return Applied(members, min(done, members), clock.monotonic() - started)


def _note(found: dict[str, WorkerState], records: Any, settings: Settings) -> None:
    for record in records:
        name = (record.key or b"").decode("utf-8", "replace")
        if not name.startswith(f"{settings.group}/"):
            continue
        try:
            found[name] = _decode(record.value or b"")
        except msgspec.MsgspecError:
            found.pop(name, None)


async def _members(settings: Settings) -> int:
    admin = AIOKafkaAdminClient(**settings.kafka.options())
    try:
        await asyncio.wait_for(admin.start(), 10)
        answers = await admin.describe_consumer_groups([settings.group])
        # A group is a tuple whose length depends on the protocol's version; its members are the one list in it.
        groups = [group for answer in answers for group in answer.groups]
        return sum(len(part) for group in groups for part in group if isinstance(part, list))
    except (KafkaError, TimeoutError):
        return 0
    finally:
        await admin.close()
