"""The kill switch on the real broker: two workers that let all pass within seconds, and who may throw it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.clock import SystemClock
from stream.topics import RULES
from stream.updates.publisher import Put
from stream.updates.records import OFF, SWITCH, SwitchRecord
from tests.integration.test_changes_cli import People
from tests.integration.test_list_changes import Cli
from tests.integration.test_live_changes import LISTED, applied, decided, rules, settings_of, sms, two
from tests.support.changes import change, entry, pack, puts
from tests.support.worker import Pipeline

WITHIN = 5.0  #: seconds, from the command to the last worker


@pytest.fixture
def cli(kafka: str, tmp_path: Path) -> Cli:
    return Cli(kafka, tmp_path)


@pytest.mark.alone
async def test_off_lets_all_pass_on_both_workers_and_on_takes_measures_again(pipeline: Pipeline):
    workers = await two(pipeline)
    settings, clock = settings_of(pipeline), SystemClock()
    await applied(pipeline, (await change(settings, puts(entry(LISTED)))).serial)
    found, total = {}, 0
    for name, put in (("before", None), ("off", OFF), ("on", SwitchRecord(on=True))):
        if put is not None:
            started = clock.monotonic()
            await applied(pipeline, (await change(settings, puts(Put(RULES.name, SWITCH, put)))).serial)
            assert clock.monotonic() - started < WITHIN
            for worker in workers:
                acts = f"lanjie_enforcement {0.0 if put == OFF else 1.0}"
                await worker.until("/metrics", lambda text, acts=acts: acts in text, timeout=WITHIN)
        total += 80
        await pipeline.publish(sms([f"{name}-{n}" for n in range(80)]))
        found = await decided(pipeline, total)
    before, off, on = ({n: d for n, d in found.items() if n.startswith(f"{name}-")} for name in ("before", "off", "on"))
    assert {d.action for d in off.values()} == {"allow"}
    assert {d.response for d in off.values()} == {None}
    assert {d.rules.endswith("+off") for d in off.values()} == {True}
    would = {d.subject: d.shadow.action for d in off.values() if d.shadow}
    assert would == {d.subject: d.action for d in before.values() if d.action != "allow"} == {LISTED: "block"}
    assert {d.subject for d in on.values() if d.action == "block"} == {LISTED}
    assert {d.rules for d in on.values()} == {d.rules for d in before.values()}


@pytest.mark.alone
async def test_off_comes_in_time_also_behind_a_pack_that_has_to_be_built(pipeline: Pipeline):
    workers = await two(pipeline)
    settings, clock = settings_of(pipeline), SystemClock()
    await change(settings, pack(rules()))
    started = clock.monotonic()
    await change(settings, puts(Put(RULES.name, SWITCH, OFF)))
    for worker in workers:
        await worker.until("/metrics", lambda text: "lanjie_enforcement 0.0" in text, timeout=WITHIN)
    assert clock.monotonic() - started < WITHIN


def test_one_person_turns_it_off_and_two_turn_it_on(cli: Cli):
    assert cli.run("enforcement", "status").output == "enforcement is on: it was never off\n"
    people = People(cli, approvals=2)
    assert "2 patterns" not in people.add("zhang", "+8613800000001")  # waits, as any change does
    said = cli.change("enforcement", "off", **people.who("zhang"))
    assert "is written; no worker is running" in said
    shown = cli.json("enforcement", "status")
    assert (shown["enforcement"], shown["by"], shown["reason"]) == ("off", "zhang", "a test")
    assert cli.change("enforcement", "off", **people.who("li")) == "nothing to change\n"
    line = cli.run("rules", "status").output.splitlines()[1]
    assert line.startswith(f"enforcement is OFF, every event passes, since {shown['time']} by zhang (change")
    assert line == cli.run("enforcement", "status").output.strip()

    waits = cli.change("enforcement", "on", **people.who("zhang"))
    assert "waits for another person" in waits
    assert "enforcement on" in cli.run("changes", "pending").output
    assert cli.json("enforcement", "status") == shown
    people.approve("li", waits.split()[1])
    again = cli.json("enforcement", "status")
    assert (again["enforcement"], again["by"]) == ("on", "zhang")
    made = {c["action"]: c["time"] for c in cli.json("changes", "log")["changes"]}
    assert cli.json("enforcement", "status", "--at", made["enforcement off"]) == shown
    assert cli.json("enforcement", "status", "--at", made["enforcement on"]) == again
    assert cli.json("enforcement", "status", "--at", "2020-01-01")["serial"] is None
    records = [r["says"] for c in cli.json("rules", "history")["changes"] for r in c["records"]]
    assert records == ["enforcement off", "enforcement on"]
    cli.run("changes", "verify")
    assert "chen is not among them" in cli.run("enforcement", "off", "--reason", "x", "--as", "chen", code=1).output
    assert cli.run("enforcement", "off", code=2).exit_code == 2  # a reason is wanted
