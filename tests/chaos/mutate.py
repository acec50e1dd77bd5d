"""Damaged records by the hundred thousand, on a real broker and through a real worker: none may stop it or get lost.

    python -m tests.chaos.mutate --count 1000000
    python -m tests.chaos.mutate --count 100000 --seed 7 --json mutate.json

Checked: the worker never ends; every record is either decided or on its DLQ, once, as it came, with a code and a reason
that shows nothing of it; no record that is an event is refused, and none that is not is decided.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import re
import shutil
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from detectors.model.events import CardEvent, Event
from stream.clock import SystemClock
from stream.settings import Settings
from stream.wire import CODES, WireError, decode_decision, decode_event, dump_json
from tests.chaos.broker import ChaosBroker
from tests.chaos.mutants import Mutants
from tests.chaos.offsets import drained
from tests.chaos.readback import Partition, read_partition
from tests.chaos.run import PREFIX, new_folder
from tests.chaos.supervisor import Supervisor
from tests.chaos.traffic import PROTECTED, write_lists
from tests.chaos.verify import SHOWN, Outcome

HOW: Final = "chaos.how"
WAVE: Final = 5_000
#: Records a second that a worker must at least get through, and seconds besides, before it counts as stuck.
PACE, PATIENCE = 300, 60.0
DEATHS: Final = 3  # after so many it is clear that a record kills it
#: What a reason may say in digits: limits of the schema, and where in the record something is.
_KNOWN: Final = re.compile(r"946684800000|4102444799999|4102444800000|39015|604800000|\(byte \d+\)|\[\d+\]")


class Told(NamedTuple):
    """What came of a run."""

    counts: dict[str, int]
    findings: dict[str, list[str]]
    reasons: dict[str, int]

    @property
    def ok(self) -> bool:
        """Nothing was found."""
        return not self.findings


async def run(count: int, seed: int, folder: Path) -> Told:
    """All of it."""
    broker, clock = ChaosBroker(folder / "kafka"), SystemClock()
    write_lists(folder / "lists.csv")
    await broker.up()
    settings = Settings(bootstrap=broker.direct, topic_prefix=PREFIX, group=PREFIX + "group")
    environ = {
        "LANJIE_BOOTSTRAP": broker.direct,
        "LANJIE_GROUP": settings.group,
        "LANJIE_TOPIC_PREFIX": PREFIX,
        "LANJIE_METRICS_PORT": "0",
        "LANJIE_LISTS": str(folder / "lists.csv"),
    }
    workers = Supervisor(environ, folder / "workers", clock)
    try:
        await broker.create_topics(environ)
        workers.add()
        sent = await publish(settings, Mutants(seed), count)
        stuck = await drained(
            settings, PATIENCE + count / PACE, clock=clock, give_up=lambda _: len(workers.exits) >= DEATHS
        )
        died = [f"exit {end.code} after {end.lived:.0f} s" for end in workers.exits]
        await workers.stop()
        outcome = await check(settings)
    finally:
        await workers.stop()
        await broker.down()
    found = {what: outcome.shown.get(what, []) for what in FINDINGS if outcome.counts[what]}
    found |= {"the worker ended": died} if died else {}
    found |= {"not committed": [stuck]} if stuck else {}
    return Told({**sent, **outcome.counts}, found, dict(outcome.actions))


async def publish(settings: Settings, mutants: Mutants, count: int) -> dict[str, int]:
    """Send as fast as the broker takes it. What it does not take is counted, by why."""
    refused: Counter[str] = Counter()
    async with AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, linger_ms=5, max_batch_size=256 << 10, max_request_size=2 << 20
    ) as producer:
        pending: list[asyncio.Future[Any]] = []
        for n in range(count):
            each = mutants.make(n)
            headers = [*each.headers, (HOW, each.how.encode())]
            with suppress(UnicodeEncodeError):
                sending = producer.send(
                    settings.named(each.topic).name,
                    each.value,
                    each.key,
                    headers=headers,
                    timestamp_ms=each.timestamp,
                    partition=n % settings.partitions if each.key is None else None,
                )
                try:
                    pending.append(await sending)
                except (KafkaError, AssertionError) as error:
                    refused[type(error).__name__] += 1
            if len(pending) >= WAVE or n == count - 1:
                for done in await asyncio.gather(*pending, return_exceptions=True):
                    if isinstance(done, BaseException):
                        refused[type(done).__name__] += 1
                pending.clear()
    return {"made": count, **{f"not taken by the broker: {why}": n for why, n in refused.items()}}


async def check(settings: Settings) -> Outcome:
    """All partitions."""
    loop, total = asyncio.get_running_loop(), Outcome()
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        tasks = [loop.run_in_executor(pool, check_partition, settings, p) for p in range(settings.partitions)]
        for each in await asyncio.gather(*tasks):
            total.counts.update(each.counts)
            total.actions.update(each.actions)
            for what, texts in each.shown.items():
                total.shown[what] = (total.shown.get(what, []) + texts)[:SHOWN]
    return total


FINDINGS: Final = (
    *("lost", "no event, no dead letter", "decisions too many", "refused though an event", "engine errors"),
    *(
        "dead letters twice",
        "dead letters changed",
        "no code",
        "no reason",
        "reason shows a value",
        "protected touched",
    ),
)


def check_partition(settings: Settings, number: int) -> Outcome:
    """Every record of one partition number against what became of it."""
    partition, outcome = asyncio.run(read_partition(settings, number)), Outcome()
    letters: dict[tuple[str, int], ConsumerRecord] = {}
    for letter in partition.letters:
        headers = dict(letter.headers)
        where = headers["dlq.topic"].decode(), int(headers["dlq.offset"])
        if where in letters:
            outcome.note("dead letters twice", f"{where}")
        letters[where] = letter
    outcome.counts["dead letters"] = len(letters)
    _decided(partition, letters, outcome)
    for kind, records in partition.inputs.items():
        for record in records:
            if letter := letters.get((record.topic, record.offset)):
                _letter(record, letter, kind, outcome)
    return outcome


def _decided(partition: Partition, letters: dict[tuple[str, int], ConsumerRecord], outcome: Outcome) -> None:
    """What is on no DLQ has a decision. Ids may be there several times, so they are counted."""
    wanted: Counter[str] = Counter()
    events: dict[str, Event] = {}
    for kind, records in partition.inputs.items():
        outcome.counts["records"] += len(records)
        for record in records:
            if (record.topic, record.offset) in letters:
                continue
            try:
                event = decode_event(record.value, kind)
            except WireError as error:
                outcome.note("no event, no dead letter", f"{_shown(record)} {error}")
            else:
                wanted[event.id] += 1
                events[event.id] = event
    found = Counter(row.id for row in partition.rows)
    outcome.counts["decisions"] = len(partition.rows)
    for name, missing in (wanted - found).items():
        outcome.note("lost", f"event {name!a} x {missing}")
    for name, more in (found - wanted).items():
        outcome.note("decisions too many", f"event {name!a} x {more}")
    for row in partition.rows:
        event, action = events.get(row.id), decode_decision(row.value).action
        ends = {event.a_number} if event else set()
        if event and wanted[row.id] == 1 and not isinstance(event, CardEvent):
            ends.add(event.b_number)
        if wanted[row.id] == 1 and action != "allow" and not ends.isdisjoint(PROTECTED):
            outcome.note("protected touched", f"event {row.id!a}: {action}")


def _letter(record: ConsumerRecord, letter: ConsumerRecord, kind: str, outcome: Outcome) -> None:
    headers = dict(letter.headers)
    code, reason = (headers.get(name, b"").decode() for name in ("dlq.code", "dlq.reason"))
    outcome.actions[f"{code}: {re.sub(r'[0-9]+', '#', reason)[:60]}"] += 1
    where = f"{_shown(record)}: {code}: {reason!a}"
    if code == "engine_error":
        outcome.note("engine errors", where)
    elif code not in CODES:
        outcome.note("no code", where)
    else:
        with suppress(WireError):
            decode_event(record.value, kind)
            outcome.note("refused though an event", where)
    if not reason.strip():
        outcome.note("no reason", where)
    if _tells(reason, record.value or b""):
        outcome.note("reason shows a value", where)
    whole = "dlq.cut_from" not in headers
    if (whole and (record.value or b"") != (letter.value or b"")) or int(headers["dlq.partition"]) != record.partition:
        outcome.note("dead letters changed", where)


def _tells(reason: str, value: bytes) -> bool:
    """Whether a reason quotes the record: five digits of it, or anything that is not ASCII."""
    text = value.decode("utf-8", "replace")
    digits = re.findall(r"\d{5,}", _KNOWN.sub("", reason))
    return not reason.isascii() or any(run[i : i + 5] in text for run in digits for i in range(len(run) - 4))


def _shown(record: ConsumerRecord) -> str:
    how = dict(record.headers).get(HOW, b"?").decode()
    return f"{record.topic}/{record.partition}/{record.offset} ({how}) {(record.value or b'')[:160]!r}"


def show(told: Told, console: Console) -> None:
    """For people."""
    table = Table(title="dead letters by reason", show_header=False)
    for reason, count in sorted(told.reasons.items(), key=lambda each: -each[1])[:30]:
        table.add_row(f"{count:,}", reason)
    console.print(table)
    for name, count in told.counts.items():
        if name not in FINDINGS:
            console.print(f"{count:>10,} {name}", highlight=False)
    for what, texts in told.findings.items():
        console.print(f"[red]FOUND[/] {what}: {told.counts.get(what, len(texts)):,}")
        for text in texts:
            console.print(f"    {text}", highlight=False, markup=False, soft_wrap=True)
    console.print("nothing was found" if told.ok else "[red]FAILED[/]")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="takes the results")
    args, folder, console = parser.parse_args(), new_folder(), Console(width=140)
    logging.basicConfig(level=logging.CRITICAL)
    told = None
    try:
        told = asyncio.run(run(args.count, args.seed, folder))
        show(told, console)
        if args.json:
            args.json.write_bytes(dump_json(told._asdict()))
    finally:
        shutil.rmtree(folder / "kafka" / "data", ignore_errors=True)
        if told and told.ok:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            console.print(f"logs: {folder}", soft_wrap=True)
    return 0 if told.ok else 1


if __name__ == "__main__":
    sys.exit(main())
