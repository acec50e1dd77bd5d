"""The faults, and when they come: at random moments, so that some meet others that are not over yet."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from stream.clock import Clock
from tests.chaos.broker import ChaosBroker
from tests.chaos.monitor import Monitor
from tests.chaos.supervisor import Slot, Supervisor

WORKERS: Final = 3
#: Seconds. Above the worker's session timeout: its partitions are given to others while it sleeps.
SLEEP: Final = (13.0, 20.0)
#: Seconds until a fault counts as not recovered from.
PATIENCE: Final = 120.0
#: Seconds without faults at both ends of a run.
QUIET: Final = (5.0, 25.0)

FULL: Final = {"kill -9": 30, "broker": 5, "rebalance": 5, "cut": 5, "slow link": 3, "black hole": 2, "zombie": 2}
SHORT: Final = {"kill -9": 3, "broker": 1, "rebalance": 1, "cut": 1, "slow link": 1}


@dataclass
class World:
    """What faults happen to."""

    broker: ChaosBroker
    workers: Supervisor


@dataclass
class Fault:
    """One fault. Times in seconds since the run began; ``recovered`` and ``flows`` None: not in time."""

    kind: str
    at: float
    what: str = ""
    started: float = 0.0
    ended: float = 0.0
    flows: float | None = None
    recovered: float | None = None
    met: list[str] = field(default_factory=list)  #: other faults between its start and its recovery
    stuck: str = ""  #: if it was not recovered from in time: partitions, and what the workers say of themselves

    @property
    def seconds(self) -> float | None:
        """From its end to recovery."""
        return None if self.recovered is None else self.recovered - self.ended

    @property
    def outage(self) -> float | None:
        """From its start to recovery."""
        return None if self.recovered is None else self.recovered - self.started


def schedule(counts: Mapping[str, int], seconds: float, rng: random.Random) -> list[Fault]:
    """All faults in the order of their times."""
    first, last = QUIET[0], max(QUIET[0], seconds - QUIET[1])
    faults = [Fault(kind, rng.uniform(first, last)) for kind, count in counts.items() for _ in range(count)]
    return sorted(faults, key=lambda fault: fault.at)


async def _somebody(world: World, rng: random.Random) -> Slot:
    """A worker that runs; waits for one if there is none."""
    async with asyncio.timeout(PATIENCE):
        while not (alive := world.workers.alive()):  # noqa: ASYNC110 - a process does not notify
            await asyncio.sleep(0.05)
    return rng.choice(alive)


async def kill(world: World, rng: random.Random) -> str:
    """kill -9 of a worker, whatever it is doing; the supervisor starts it again."""
    slot = await _somebody(world, rng)
    world.workers.send(slot, signal.SIGKILL)
    return slot.name


async def broker(world: World, rng: random.Random) -> str:
    """The broker goes, by kill -9 or in order, and comes back with its data."""
    return await world.broker.restart(rng.uniform(0, 3))


async def rebalance(world: World, rng: random.Random) -> str:
    """A worker joins; the next time one is told to go: the one that joined, or one that comes back."""
    if sum(slot.wanted for slot in world.workers.slots) <= WORKERS:
        return f"{world.workers.add().name} joins"
    slot = await _somebody(world, rng)
    extra = world.workers.slots.index(slot) >= WORKERS
    slot.wanted = not extra
    world.workers.send(slot, signal.SIGTERM)
    return f"SIGTERM to {slot.name}" + ("" if extra else ", which comes back")


async def cut(world: World, rng: random.Random) -> str:
    """All connections of all workers are reset, and new ones refused for a while."""
    seconds = rng.choice([0.0, rng.uniform(1, 8)])
    async with world.broker.proxy.refusing():
        await asyncio.sleep(seconds)
    return f"{seconds:.1f} s refused"


async def slow(world: World, rng: random.Random) -> str:
    """Each piece of data waits, and little goes through."""
    delay, rate = rng.uniform(0.02, 0.3), rng.randrange(50, 200) << 10
    async with world.broker.proxy.slow(delay, rate):
        await asyncio.sleep(rng.uniform(8, 15))
    return f"{delay * 1000:.0f} ms, {rate >> 10} KiB/s"


async def black_hole(world: World, rng: random.Random) -> str:
    """Connections stand, nothing goes through."""
    seconds = rng.uniform(5, 20)
    async with world.broker.proxy.blackhole():
        await asyncio.sleep(seconds)
    return f"{seconds:.1f} s"


async def zombie(world: World, rng: random.Random) -> str:
    """A worker sleeps until others have its partitions, and wakes with work in its hands."""
    slot, seconds = await _somebody(world, rng), rng.uniform(*SLEEP)
    world.workers.send(slot, signal.SIGSTOP)
    await asyncio.sleep(seconds)
    world.workers.send(slot, signal.SIGCONT)
    return f"{slot.name} for {seconds:.1f} s"


ACTS: Final[Mapping[str, Callable[[World, random.Random], Awaitable[str]]]] = {
    "kill -9": kill,
    "broker": broker,
    "rebalance": rebalance,
    "cut": cut,
    "slow link": slow,
    "black hole": black_hole,
    "zombie": zombie,
}


class Chaos:
    """Makes the faults happen, and times the recovery from each.

    Attributes:
        going: faults that are not recovered from.
    """

    def __init__(self, world: World, faults: list[Fault], *, clock: Clock, tell: Callable[[str], None]) -> None:
        self._world, self.faults, self._clock, self._tell = world, faults, clock, tell
        self.going: list[Fault] = []

    def names(self) -> tuple[str, ...]:
        """Kinds of the faults that are going on."""
        return tuple(sorted({fault.kind for fault in self.going}))

    async def run(self, monitor: Monitor, rng: random.Random) -> None:
        """All of them; returns when the last is recovered from."""
        begun = self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in self.faults:
                await asyncio.sleep(max(0.0, begun + fault.at - self._clock.monotonic()))
                group.create_task(self._one(fault, monitor, random.Random(rng.random()), begun))

    async def _one(self, fault: Fault, monitor: Monitor, rng: random.Random, begun: float) -> None:
        for other in self.going:
            other.met.append(fault.kind)
            fault.met.append(other.kind)
        self.going.append(fault)
        started = self._clock.monotonic()
        fault.what = await ACTS[fault.kind](self._world, rng)
        ended = self._clock.monotonic()
        fault.started, fault.ended = started - begun, ended - begun
        if found := await monitor.recovery(ended, PATIENCE):
            fault.recovered, fault.flows = (at - begun for at in found)
        else:
            fault.stuck = f"{monitor.behind()}; {await self._world.workers.say()}"
        self.going.remove(fault)
        took = f"NOT RECOVERED: {fault.stuck}" if fault.seconds is None else f"recovered after {fault.seconds:.1f} s"
        self._tell(f"{fault.started:6.0f} s  {fault.kind:<10} {fault.what:<32} {took}")
