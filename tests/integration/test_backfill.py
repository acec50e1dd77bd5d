"""A new behaviour rule does not start with empty windows: over the same length they are full, over another they are
filled from the log.
"""

from __future__ import annotations

import json

from detectors.model.events import CallEvent
from stream.rule_files import pack_files
from stream.wire import decode_decision
from tests.integration.test_live_changes import applied, settings_of
from tests.support.changes import change, pack, stage
from tests.support.worker import Pipeline

T0 = 1_790_000_000_000
RULE = """
[[rule]]
id = "CALL_OF_THIS_TEST"
version = 1
measure = "attempts"
threshold = 61
zh = "测试规则"
en = "A rule of this test"
"""
WEIGHT = '\n[symbols.CALL_OF_THIS_TEST]\nweight = 60\ngroup = "behaviour"\nceiling = "challenge"\n'


def calls(first: int, count: int, callers: int = 5) -> list[CallEvent]:
    """So many attempts of each of some callers, a second apart, to one callee each: no other rule minds."""
    return [
        CallEvent(id=f"c-{n}-{caller}", time=T0 + n * 1000, a_number=f"1390000{caller:04d}", b_number="13700000001")
        for n in range(first, first + count)
        for caller in range(callers)
    ]


def files(window_seconds: int) -> dict[str, bytes]:
    shipped = pack_files(None)
    behaviour = shipped["behaviour.toml"].decode().replace("window_seconds = 600", f"window_seconds = {window_seconds}")
    return {"behaviour.toml": (behaviour + RULE).encode(), "weights.toml": shipped["weights.toml"] + WEIGHT.encode()}


async def codes(pipeline: Pipeline, total: int, names: str) -> set[tuple[str, bool]]:
    found = [decode_decision(record.value) for record in await pipeline.decisions(total)]
    return {
        (d.subject, any(reason.code == "CALL_OF_THIS_TEST" for reason in d.reasons))
        for d in found
        if d.event_id.startswith(names)
    }


async def test_windows_of_another_length_are_filled_from_the_log(pipeline: Pipeline):
    worker = await pipeline.start()
    settings = settings_of(pipeline)
    await worker.until("/ready", lambda body: json.loads(body)["ready"])
    await pipeline.publish(calls(0, 60))
    await pipeline.decisions(300)

    same = await change(settings, pack(files(600), stage("CALL_OF_THIS_TEST", "enforce", version="1")))
    await applied(pipeline, same.serial, workers=1)
    await pipeline.publish(calls(60, 1))
    assert {fired for _, fired in await codes(pipeline, 305, "c-60-")} == {True}

    longer = await change(settings, pack(files(1200)))
    await applied(pipeline, longer.serial, workers=1)
    await pipeline.publish(calls(61, 1))
    assert {fired for _, fired in await codes(pipeline, 310, "c-61-")} == {True}
    found = [decode_decision(record.value) for record in await pipeline.decisions(310)]
    versions = {name: {d.rules for d in found if d.event_id.startswith(name)} for name in ("c-60-", "c-61-")}
    assert len(versions["c-61-"]) == 1
    assert versions["c-60-"].isdisjoint(versions["c-61-"])
    assert any("filled with 305 events" in line for line in worker.log)
