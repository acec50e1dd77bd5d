"""`lanjie report` and `lanjie export` from the topics of a real broker: what is committed, in the period, once."""

from __future__ import annotations

import asyncio
import json
import uuid

import duckdb
import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner

from detectors.model.decision import Decision
from detectors.model.events import CardEvent
from stream.cli.export import export
from stream.cli.report import report
from stream.clock import SystemClock, iso
from stream.reports.intake import SLACK_MS
from stream.reports.page import ReportError
from stream.settings import Settings
from stream.topics import CARDS, DECISIONS
from stream.wire import encode_decision, encode_event
from tests.support.changes import change, entry, feed, puts, table
from tests.support.topics import create_topics

HOUR = 3_600_000
NUMBER = "+8617000001111"
LISTED = ("13800000001", "13800000002", "13800000003")


def decision(name, time, action="warn"):
    return encode_decision(
        Decision(event_id=name, kind="sms", time=time, subject=NUMBER, action=action, score=1.0, lists="l", rules="r")
    )


async def fill(settings, since):
    """Decisions by partition, with the time that Kafka has: that of the event, or another where that is the point."""
    decisions, cards = settings.named(DECISIONS).name, settings.named(CARDS).name
    await create_topics(settings.bootstrap, {decisions: 4, cards: 4})
    records = [(0, "old", since + HOUR, since - SLACK_MS - HOUR)]  # too long before its event: not looked for
    records += [(n % 4, f"e{n}", since + n * 60_000, since + n * 60_000) for n in range(30)]
    records += [(n, f"e{n}", since + n * 60_000, since + HOUR) for n in range(3)]  # decided again
    records += [(1, "ahead", since + 60_000, since - HOUR // 2)]  # by a switch whose clock is fast
    records += [(2, "before", since - 1, since), (2, "after", since + 12 * HOUR, since + HOUR)]
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as out:
        for partition, name, time, kafka_time in records:
            await out.send_and_wait(decisions, decision(name, time), partition=partition, timestamp_ms=kafka_time)
        for partition, value in ((2, None), (3, b"no decision")):
            await out.send_and_wait(decisions, value, b"k", partition=partition, timestamp_ms=since + HOUR)
        for n, phase in enumerate(["re-verified", "re-verified", "woke"]):
            event = CardEvent(id=f"c{n}", time=since + n, a_number=LISTED[n], phase=phase)
            await out.send_and_wait(cards, encode_event(event), partition=n, timestamp_ms=since + n)
    transactional = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, transactional_id=f"t{uuid.uuid4().hex}")
    async with transactional as out:
        for name, commits in (("ghost", False), ("committed", True)):
            await out.begin_transaction()
            await out.send_and_wait(decisions, decision(name, since + HOUR, "block"), partition=0)
            await (out.commit_transaction() if commits else out.abort_transaction())
    await change(settings, puts(entry(LISTED[0], "grey"), entry(LISTED[1])))
    await change(settings, feed("operator-b", table(LISTED), 3))


@pytest.fixture(scope="module")
def filled(kafka):
    settings = Settings(bootstrap=kafka, topic_prefix=f"t{uuid.uuid4().hex[:8]}.")
    since = SystemClock().wall_ms() - 6 * HOUR
    asyncio.run(fill(settings, since))
    where = ("--bootstrap", kafka, "--topic-prefix", settings.topic_prefix)
    return *where, "--from", iso(since, "milliseconds"), "--to", iso(since + 12 * HOUR, "milliseconds")


def run(command, *words, environ=None):
    result = CliRunner().invoke(command, [*map(str, words)], env=environ)
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return result


def test_the_figures_are_those_of_the_topics(filled, tmp_path):
    result = run(report, *filled, "--json", tmp_path / "r.json", "--html", tmp_path / "r.html")
    told = json.loads((tmp_path / "r.json").read_bytes())
    found = {(f["figure"], f["of"], f["measure"]): f["value"] for f in told["figures"] if not f["part"]}
    assert {key[1]: value for key, value in found.items() if key[0] == "input"} == {
        "read": 30 + 3 + 1 + 2 + 2 + 1, "refused": 2, "outside": 2, "repeats": 3,
    }  # fmt: skip
    assert (found["decisions", "sms", "warn"], found["decisions", "sms", "block"]) == (31, 1)
    assert (found["reverified", "events", ""], found["reverified", "cards", ""]) == (2, 2)
    lists = {key: value for key, value in found.items() if key[0].startswith("list_")}
    assert lists == {
        ("list_entries", "manual", "block"): 1,
        ("list_entries", "manual", "grey"): 1,
        ("list_entries", "operator-b", "block"): 3,
        ("list_changes", "test", ""): 2,
    }
    assert result.stderr.count(": $: no decision") == 2
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "operator-b" in page
    assert [n for n in (NUMBER[3:], *LISTED) if n in page + result.output] == []


def test_an_export_of_the_topic_has_every_decision(filled, tmp_path):
    said = run(export, *filled, "-o", tmp_path / "e.parquet").stdout
    assert "35 decisions; 2 lines refused, 2 outside the period" in said
    rows = duckdb.sql(f"SELECT event_id, count(*) FROM '{tmp_path}/e.parquet' GROUP BY ALL").fetchall()  # noqa: S608
    assert dict(rows) == {f"e{n}": 2 if n < 3 else 1 for n in range(30)} | {"ahead": 1, "committed": 1}


def test_topics_that_are_not_there_are_told(filled, tmp_path):
    result = CliRunner().invoke(report, [*filled[:2], "--topic-prefix", "none."])
    assert isinstance(result.exception, ReportError)
    assert str(result.exception).startswith(f"none.{DECISIONS.name}: no such topic at ")
