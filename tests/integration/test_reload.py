"""SIGHUP to a running worker: new lists and rules are in force, and a pack that is wrong changes nothing."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

from detectors.model.events import SmsEvent
from stream.rule_files import shipped
from stream.wire import decode_decision
from tests.support.worker import Pipeline, Worker

T0 = 1_790_000_000_000
RULE = """
[[rule]]
id = "TEXT_OF_THIS_TEST"
version = 1
class = "loan"
zh = "测试规则"
en = "A rule of this test"
source = "written for this test"
all = [["紫色的大象"]]
positives = ["一头紫色的大象", "紫色的大象来了"]
near_misses = ["紫色的小象", "大象"]
"""
WEIGHT = '\n[symbols.TEXT_OF_THIS_TEST]\nweight = 60\ngroup = "text"\nceiling = "challenge"\n'


def sms(name: str, sender: str, text: str) -> SmsEvent:
    return SmsEvent(id=name, time=T0, a_number=sender, b_number="13900000001", text=text)


def pack(folder: Path) -> Path:
    """A copy of the shipped pack."""
    return Path(shutil.copytree(shipped(), folder / "rules", ignore=shutil.ignore_patterns("*.py", "__pycache__")))


async def loaded_at(worker: Worker) -> dict[str, str]:
    """Of lists and rules, in seconds since 1970."""
    _, text = await worker.get("/metrics")
    found = dict(re.findall(r"^lanjie_(lists|rules)_loaded_timestamp_seconds (\S+)", text, re.MULTILINE))
    assert found.keys() == {"lists", "rules"}
    return found


async def test_lists_and_rules_are_read_again_while_events_flow(pipeline: Pipeline):
    rules = pack(pipeline.folder)
    worker = await pipeline.start(LANJIE_RULES=str(rules))
    before = [sms("before", "13800000008", "一头紫色的大象"), sms("before-2", "13800000009", "你好")]
    await pipeline.publish(before)
    first = {d.event_id: d for d in map(decode_decision, (r.value for r in await pipeline.decisions(2)))}
    assert {d.action for d in first.values()} == {"allow"}

    (rules / "text" / "test.toml").write_text(RULE)
    (rules / "weights.toml").write_text((rules / "weights.toml").read_text("utf-8") + WEIGHT)
    lists = pipeline.folder / "lists.csv"
    lists.write_text(lists.read_text() + "13800000009,block,150,test,test\n")
    worker.process.send_signal(signal.SIGHUP)
    await worker.until("/metrics", lambda text: 'lanjie_reloads_total{result="done"} 1.0' in text)
    await pipeline.publish([sms("after", "13800000008", "一头紫色的大象"), sms("after-2", "13800000009", "你好")])
    second = {d.event_id: d for d in map(decode_decision, (r.value for r in await pipeline.decisions(4)))}
    assert (second["after"].action, second["after-2"].action) == ("challenge", "block")
    assert second["after"].rules != first["before"].rules
    assert second["after"].lists != first["before"].lists
    assert {name: second[name] for name in first} == first
    loaded = await loaded_at(worker)

    (rules / "text" / "test.toml").write_text(RULE.replace('"大象"]', '"紫色的大象"]'))
    worker.process.send_signal(signal.SIGHUP)
    await worker.until("/metrics", lambda text: 'lanjie_reloads_total{result="refused"} 1.0' in text)
    assert any("refused, what was in force stays" in line and "near_misses: matched" in line for line in worker.log)
    await pipeline.publish([sms("last", "13800000008", "一头紫色的大象")])
    last = [d for d in map(decode_decision, (r.value for r in await pipeline.decisions(5))) if d.event_id == "last"]
    assert [(d.action, d.rules) for d in last] == [("challenge", second["after"].rules)]
    assert await loaded_at(worker) == loaded  # they were looked at, and are no others
    assert await worker.end(signal.SIGTERM) == 0
