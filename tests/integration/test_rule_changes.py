"""`lanjie rules` on the real broker: a pack comes, its rules go their way, and what was before comes back."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from detectors.model.events import SmsEvent
from detectors.rulepack import load_rules, lock
from stream.cli import main
from stream.wire import decode_decision
from tests.support.rules import POLICY, TEXT, WEIGHTS, files
from tests.support.worker import Pipeline

T0 = 1_790_000_000_000

BANK_4 = TEXT.replace("version = 3", "version = 4").replace('["积分"]', '["积分", "会员日"]')
Lanjie = Callable[..., Awaitable[Result]]


def folder(path: Path, small: dict[str, bytes]) -> Path:
    """A pack on disk, with its lock as `lanjie rules lock` writes it."""
    for name, data in small.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    locked = lock.updated(load_rules(small), lock.Lock(), {}, "2026-11-24")
    (path / lock.NAME).write_bytes(lock.write(locked))
    return path


def command(bootstrap: str, prefix: str, path: Path) -> Lanjie:
    """`lanjie rules`, with the small pack as that of the workers."""
    environ = {
        "LANJIE_BOOTSTRAP": bootstrap,
        "LANJIE_TOPIC_PREFIX": prefix,
        "LANJIE_GROUP": f"{prefix}group",
        "LANJIE_DATA_DIR": str(path / "data"),
        "LANJIE_RULES": str(folder(path / "own", files())),
        "LANJIE_AUTHOR": "zhang",
    }

    async def run(*args: object, code: int = 0) -> Result:
        texts = ["rules", *map(str, args)]
        result = await asyncio.to_thread(CliRunner().invoke, main, texts, env=environ)
        assert result.exit_code == code, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run


@pytest.fixture
def lanjie(kafka: str, tmp_path: Path) -> Lanjie:
    """The command, on topics of its own."""
    return command(kafka, f"t{uuid.uuid4().hex[:8]}.", tmp_path)


async def asked(lanjie: Lanjie, *args: object) -> Any:
    return json.loads((await lanjie(*args, "--json")).stdout)


async def stages(lanjie: Lanjie) -> tuple[str, dict[str, tuple[str | None, str]]]:
    found = await asked(lanjie, "status")
    return found["pack"]["version"], {each["rule"]: (each["version"], each["stage"]) for each in found["rules"]}


async def test_a_changed_rule_from_shadow_to_everywhere_and_back(lanjie: Lanjie, tmp_path: Path):
    own, none = await stages(lanjie)
    assert none == {}
    new = folder(tmp_path / "new", files(text=BANK_4))
    dry = await lanjie("publish", "--rules", new, "--dry-run", "--reason", "a look")
    assert "TEXT_BANK: changed, version 3 -> 4, shadow; version 3 acts; cap 1,000 a minute" in dry.stdout
    assert await stages(lanjie) == (own, {})

    done = await lanjie("publish", "--rules", new, "--reason", "member days")
    assert done.stdout.startswith(dry.stdout)
    assert "change 1 is written; no worker is running" in done.stdout
    first = await stages(lanjie)
    assert first[1] == {"TEXT_BANK": ("4", "shadow")}
    assert "nothing to change" in (await lanjie("publish", "--rules", new, "--reason", "again")).stdout

    canary = await lanjie("promote", "TEXT_BANK", "--to", "canary:5%", "--reason", "a try")
    assert "TEXT_BANK 4: shadow -> canary:5%; cap 1,000 a minute" in canary.stdout
    await lanjie("demote", "CAMPAIGN_HIT", "--reason", "noisy")
    second = await stages(lanjie)
    assert second == (first[0], {"TEXT_BANK": ("4", "canary:5%"), "CAMPAIGN_HIT": (None, "shadow")})

    third_pack = folder(tmp_path / "third", files(text=BANK_4.replace("version = 4", "version = 5")))
    await lanjie("publish", "--rules", third_pack, "--stage", "enforce", "--no-cap", "--reason", "a mistake")
    assert (await stages(lanjie))[1]["TEXT_BANK"] == ("5", "enforce")
    shown = await asked(lanjie, "show", "TEXT_BANK")
    assert (shown["version"], shown["before"], shown["stage"]["cap"]) == ("5", None, None)
    back = await lanjie("rollback", "--reason", "that was one")
    assert f"-> {first[0]}" in back.stdout
    assert await stages(lanjie) == second

    await lanjie("rollback", "--to", "own", "--reason", "all of it")
    assert (await stages(lanjie))[0] == own
    await lanjie("rollback", "--to", first[0], "--reason", "and again")
    assert await stages(lanjie) == second


async def test_a_rule_as_it_was_at_any_moment(lanjie: Lanjie, tmp_path: Path):
    new = folder(tmp_path / "new", files(text=BANK_4, weights=WEIGHTS.replace("60", "65")))
    await lanjie("demote", "TEXT_BANK", "--to", "canary:50%", "--reason", "half of them")
    await lanjie("promote", "TEXT_BANK", "--reason", "all of them")
    await lanjie("publish", "--rules", new, "--reason", "member days")
    await lanjie("cap", "TEXT_BANK", "--per-minute", "7", "--reason", "careful")
    await lanjie("demote", "CALL_BURST", "--reason", "another matter")

    changes = (await asked(lanjie, "history", "TEXT_BANK"))["changes"]
    assert [(each["action"], each["by"], each["reason"]) for each in changes] == [
        ("demote", "zhang", "half of them"),
        ("promote", "zhang", "all of them"),
        ("publish", "zhang", "member days"),
        ("cap", "zhang", "careful"),
    ]
    assert len((await asked(lanjie, "history"))["changes"]) == 5
    then = [await asked(lanjie, "show", "TEXT_BANK", "--at", each["time"]) for each in changes]
    assert [(each["version"], each["stage"]["stage"], each["symbol"]["weight"]) for each in then] == [
        ("3", "canary:50%", 60),
        ("3", "enforce", 60),
        ("4", "shadow", 65),
        ("4", "shadow", 65),
    ]
    assert [each["stage"]["cap"] for each in then[2:]] == [
        {"per_minute": 1000, "share": 0.02},
        {"per_minute": 7, "share": 0.02},
    ]
    assert then[3]["stage"]["reason"] == "careful"
    assert (then[2]["before"]["rule"]["version"], then[2]["before"]["symbol"]["weight"]) == (3, 60)
    assert (await asked(lanjie, "show", "TEXT_BANK", "--at", "2020-01-01"))["stage"]["time"] is None

    page = (await lanjie("show", "TEXT_BANK")).stdout
    assert "all: (工商银行 | 建设银行) & (积分 | 会员日)" in page
    assert "where it does not act, version 3 does" in page
    listed = (await lanjie("status")).stdout.splitlines()
    assert [line.split()[:3] for line in listed[2:]] == [["TEXT_BANK", "4", "shadow"], ["CALL_BURST", "1", "shadow"]]
    assert "TEXT_BANK 4 shadow: careful" in (await lanjie("history", "TEXT_BANK")).stdout


async def test_what_is_refused_is_told_in_one_line_and_changes_nothing(lanjie: Lanjie, tmp_path: Path):
    async def says(text: str, *args: object, code: int = 1) -> None:
        result = await lanjie(*args, "--reason", "a test", code=code)
        assert text in result.stderr
        assert "Traceback" not in result.output

    silent = folder(tmp_path / "silent", files(text=TEXT.replace('["积分"]', '["积分", "会员日"]')))
    await says("$.rule[TEXT_BANK].version: 3, but version 3 is in force", "publish", "--rules", silent)
    other = folder(tmp_path / "policy", files(policy=POLICY.replace("warn = 40", "warn = 45")))
    await says("--with-policy: policy.toml: $.ladder.warn: 40 -> 45", "publish", "--rules", other)
    (other / lock.NAME).write_bytes(b"")
    await says("rules disagree with rules.lock", "publish", "--rules", other)
    await says("did you mean TEXT_BANK", "promote", "TEXT_BANKS")
    await says("TEXT_BANK: is in enforce", "promote", "TEXT_BANK", "--to", "canary:5%")
    await says("expected shadow, enforce, or canary", "promote", "TEXT_BANK", "--to", "half", code=2)
    await says("or --none", "cap", "TEXT_BANK", code=2)
    await says("no such pack was in force before", "rollback")
    assert (await asked(lanjie, "status"))["rules"] == []
    assert (await lanjie("history")).stdout == "no change of rules was ever made\n"


async def test_the_difference_and_a_trial_against_what_is_in_force(lanjie: Lanjie, tmp_path: Path):
    new = folder(tmp_path / "new", files(text=BANK_4, policy=POLICY.replace("warn = 40", "warn = 45")))
    found = await asked(lanjie, "diff", "--rules", new)
    assert [(each["rule"], each["kind"], each["fields"]) for each in found["rules"]] == [
        ("TEXT_BANK", "changed", {"all": {"added": ["会员日"], "removed": []}})
    ]
    assert found["policy"] == [{"where": "policy.toml: $.ladder.warn", "before": 40, "after": 45}]
    await lanjie("publish", "--rules", new, "--with-policy", "--reason", "member days")
    assert "no difference" in (await lanjie("diff", "--rules", new)).stdout

    log = tmp_path / "log.jsonl"
    texts = ["建设银行会员日", "工商银行会员日快乐", "建设银行积分", "你好"]
    events = [
        {
            "kind": "sms",
            "id": f"e{n}",
            "time": 1_790_000_000_000 + n,
            "a_number": f"1390000000{n}",
            "b_number": "13700000001",
            "text": text,
        }
        for n, text in enumerate(texts)
    ]
    log.write_text("".join(json.dumps(event) + "\n" for event in events) + "{}\n")
    tried = (await lanjie("test", "--rules", new, log)).stdout
    assert "2 decisions stronger, 0 weaker" in tried
    assert "TEXT_BANK" in tried.splitlines()[-1]


async def test_a_worker_follows_a_rule_through_its_stages_and_back(pipeline: Pipeline, tmp_path: Path):
    lanjie = command(pipeline.bootstrap, pipeline.prefix, tmp_path)
    worker = await pipeline.start(LANJIE_RULES=str(tmp_path / "own"))
    await worker.until("/ready", lambda body: json.loads(body)["ready"])
    total = 0

    async def decided(name: str) -> list[tuple[str, str, str, list[str]]]:
        nonlocal total
        texts = ["建设银行积分", "建设银行会员日", "农业银行积分"]
        total += len(texts)
        await pipeline.publish(
            [
                SmsEvent(id=f"{name}-{n}", time=T0 + n, a_number=f"1390000000{n}", b_number="13700000001", text=text)
                for n, text in enumerate(texts)
            ]
        )
        found = [decode_decision(record.value) for record in await pipeline.decisions(total)]
        mine = sorted((d for d in found if d.event_id.startswith(name)), key=lambda d: d.event_id)
        return [(d.action, d.subject, d.rules, [f"{r.code} {r.version}" for r in d.reasons]) for d in mine]

    async def in_force(*args: object) -> None:
        assert "in force on 1 workers" in (await lanjie(*args, "--reason", "a test")).stdout

    own = await decided("own")
    assert [(action, reasons) for action, _, _, reasons in own] == [
        ("challenge", ["TEXT_BANK 3"]),
        ("allow", []),
        ("allow", []),
    ]
    # Version 4 looks for other days, and no longer for points.
    new = BANK_4.replace('["积分", "会员日"]', '["会员日", "版本四"]')
    new = new.replace('["【工商银行】您的積 分即将过期", "建设银行积分"]', '["工商银行会员日", "建设银行会员日"]')
    await in_force("publish", "--rules", folder(tmp_path / "new", files(text=new)))
    shadow = await decided("shadow")
    assert [(action, reasons) for action, _, _, reasons in shadow] == [
        (action, reasons) for action, _, _, reasons in own
    ]
    await in_force("promote", "TEXT_BANK")
    enforced = await decided("enforced")
    assert [(action, reasons) for action, _, _, reasons in enforced] == [
        ("allow", []),
        ("challenge", ["TEXT_BANK 4"]),
        ("allow", []),
    ]
    await in_force("rollback")
    assert await decided("back") == own
    await in_force("rollback")
    assert await decided("forth") == enforced
