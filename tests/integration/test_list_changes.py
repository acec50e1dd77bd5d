"""`lanjie lists` on the real broker: what is added, imported and promoted is in force, and stays in the history."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stream.cli import main
from stream.settings import Settings
from tests.integration.test_live_changes import decided, sms
from tests.support.worker import Pipeline

A, B, C = "13800000001", "13800000002", "13800000003"


class Cli:
    """The command line with topics of its own."""

    def __init__(self, bootstrap: str, folder: Path, prefix: str = "") -> None:
        prefix = prefix or f"t{uuid.uuid4().hex[:8]}."
        self.folder, self.settings = folder, Settings(bootstrap=bootstrap, topic_prefix=prefix)
        self.environ = {
            "LANJIE_BOOTSTRAP": bootstrap,
            "LANJIE_TOPIC_PREFIX": prefix,
            "LANJIE_GROUP": f"{prefix}group",
            "LANJIE_DATA_DIR": str(folder / "cli"),
            "LANJIE_AUTHOR": "zhang",
            "LANJIE_LISTS": "",
        }

    def run(self, *words: object, code: int = 0, stdin: str | None = None, **environ: str) -> Result:
        """A command, in this process."""
        result = CliRunner().invoke(main, [*map(str, words)], input=stdin, env={**self.environ, **environ})
        assert result.exit_code == code, f"{' '.join(map(str, words))}: {result.output} {result.exception!r}"
        return result

    def change(self, *words: object, **more: Any) -> str:
        """A change; what it says."""
        return self.run(*words, "--reason", "a test", **more).output

    def refused(self, *words: object, **more: Any) -> str:
        """A change that is not made; why."""
        return self.run(*words, "--reason", "a test", code=1, **more).output

    def json(self, *words: object, **more: Any) -> Any:
        """What a command says to programs."""
        return json.loads(self.run(*words, "--json", **more).stdout)

    def counts(self, number: str, *words: object, **more: Any) -> str:
        """What `lists check` says that counts."""
        return self.json("lists", "check", number, *words, **more)["counts"]

    def file(self, *rows: str, name: str = "feed.csv") -> Path:
        """A list file."""
        (self.folder / name).write_text("number,weight\n" + "".join(f"{row}\n" for row in rows))
        return self.folder / name

    async def process(self, *words: str) -> tuple[int, str]:
        """A command in a process of its own: exit code and what it says."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "stream.cli", *words, env={**os.environ, **self.environ},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()


@pytest.fixture
def cli(kafka: str, tmp_path: Path) -> Cli:
    return Cli(kafka, tmp_path)


def test_numbers_come_and_go_all_or_none(cli: Cli):
    said = cli.change("lists", "add", A, "170*", "domain:Bad.Example", "-", stdin=f"\ufeff{B}\n\n# {C}\n")
    assert said == "change 1 is written; no worker is running\n"
    assert [cli.counts(n) for n in (A, B, C, "17000000000", "domain:bad.example")] == [
        "block", "block", "none", "block", "block",
    ]  # fmt: skip
    (cli.folder / "some.txt").write_text(f"{C}\n17*\n110\n")
    said = cli.refused("lists", "add", "--file", cli.folder / "some.txt")
    assert "some.txt:2: $.number: prefix '17' is shorter" in said
    assert "some.txt:3: $.number: 110 is an emergency" in said
    assert "2 of 3 patterns refused; nothing has changed" in said
    assert cli.counts(C) == "none"

    assert "+86138******03: on no such list that we know of: left out" in cli.change("lists", "remove", A, C)
    assert cli.counts(A) == "none"
    assert "+86138******01: on no such list" in cli.refused("lists", "remove", A)
    shown = cli.json("lists", "show")
    assert (shown["feeds"], shown["manual"]["added"]) == ([], {"block": 3})


def test_what_is_added_says_when_it_counts(cli: Cli):
    cli.change("lists", "add", A, "--list", "grey", "--weight", 40, "--from", "2026-01-01", "--until", "2999-01-01")
    (entry,) = cli.json("lists", "check", A)["entries"]
    assert (entry["list"], entry["weight"], entry["source"], entry["reason"]) == ("grey", 40, "manual", "a test")
    assert (entry["added"], entry["expires"]) == ("2026-01-01T00:00:00Z", "2999-01-01T00:00:00Z")
    assert "a time to come" in cli.run("lists", "add", B, "--until", "2020-01-01", "--reason", "x", code=2).output
    assert "at most 500" in cli.run("lists", "add", B, "--reason", "x" * 501, code=2).output


def test_a_feed_from_shadow_to_enforced_and_its_next_content_on_trial(cli: Cli):
    said = cli.change("lists", "import", cli.file(f"{A},50", "170*,30"), "--feed", "op-b", "--serial", "one")
    assert said.splitlines()[0].startswith("2 entries, 0 lines refused, ")
    assert " to upload" in said
    found = cli.json("lists", "check", A)
    assert (found["counts"], found["if_enforced"]) == ("none", "block")
    assert [(e["feed"], e["serial"], e["stage"]) for e in found["entries"]] == [("op-b", "one", "shadow")]
    cli.change("lists", "promote", "op-b")
    assert cli.counts(A) == "block"

    new = cli.file(f"{B},50", "170*,40", name="new.csv")
    found = cli.json("lists", "diff", new, "--feed", "op-b")
    assert {what: found[what]["counts"] for what in ("added", "removed", "changed")} == {
        "added": {"block": 1}, "removed": {"block": 1}, "changed": {"block": 1},
    }  # fmt: skip
    assert found["removed"]["samples"] == [{"list": "block", "number": "+86138******01"}]
    assert "1 of its 2 entries would be gone" in cli.refused("lists", "import", new, "--feed", "op-b")
    cli.change("lists", "import", new, "--feed", "op-b", "--serial", "two", "--stage", "shadow", "--max-shrink", 0.5)
    assert (cli.counts(A), cli.counts(B)) == ("block", "none")
    (entry,) = cli.json("lists", "check", A)["entries"]
    assert (entry["serial"], entry["stage"]) == ("one", "live")
    cli.change("lists", "promote", "op-b", "--to", "canary:99.9999%")
    cli.change("lists", "promote", "op-b")
    assert (cli.counts(A), cli.counts(B)) == ("none", "block")
    cli.change("lists", "cap", "op-b", "--per-minute", 7)
    (feed,) = cli.json("lists", "show")["feeds"]
    assert (feed["serial"], feed["stage"], feed["live"], feed["cap"]) == ("two", "enforce", None, "cap 7 a minute")
    cli.change("lists", "demote", "op-b")
    assert cli.counts(B) == "none"
    cli.change("lists", "drop", "op-b")
    assert cli.json("lists", "check", B)["entries"] == []
    assert "op-b: is not in force; there are none" in cli.refused("lists", "promote", "op-b")


def test_the_history_of_a_number_and_the_lists_as_they_were(cli: Cli):
    cli.change("lists", "import", cli.file(f"{A},50"), "--feed", "op-b", "--serial", "one", "--stage", "enforce")
    cli.change("lists", "remove", A)
    cli.change("lists", "add", "1380000*", "--list", "grey")
    cli.change("lists", "add", B)
    cli.change("lists", "import", cli.file(f"{B},50"), "--feed", "op-b", "--serial", "two", "--force")
    cli.change("lists", "add", A, "--list", "allow")
    cli.change("lists", "remove", A, "--list", "allow")

    rows = cli.json("lists", "history", A)["changes"]
    number = "+8613800000001"
    assert [(row["action"], row["says"]) for row in rows] == [
        ("import", "feed op-b one: block (enforce)"),
        ("remove", f"suppress block {number}"),
        ("add", "add grey +861380000*"),
        ("import", "feed op-b two: no longer on it"),
        ("add", f"add allow {number}"),
        ("remove", f"entry allow/{number} taken back"),
    ]
    assert {(row["author"], row["reason"]) for row in rows} == {("zhang", "a test")}
    as_it_was = [cli.counts(A, "--at", row["time"]) for row in rows]
    assert as_it_was == ["block", "none", "grey", "grey", "allow", "grey"]
    assert cli.counts(A, "--at", "2026-01-01") == "none"

    feed = cli.json("lists", "history", "--feed", "op-b")["changes"]
    assert [row["says"] for row in feed] == [
        "feed op-b: one, 1 entries, enforce, no cap",
        "feed op-b: two, 1 entries, enforce, no cap",
    ]
    (only,) = cli.json("lists", "history", "1380000*")["changes"]
    assert only["says"] == "add grey +861380000*"
    assert "  zhang  remove: suppress block" in cli.run("lists", "history", A).output
    assert cli.run("lists", "history", "13999999999").output == "no change has touched it\n"


def test_what_is_on_top_of_files(cli: Cli):
    own = {"LANJIE_LISTS": str(cli.file(f"{A},50", name="own.csv"))}
    assert cli.counts(A, **own) == "block"
    assert "files: see --anyway" in cli.refused("lists", "remove", A, **own)
    cli.change("lists", "remove", A, "--anyway", "--list", "block", **own)
    assert (cli.counts(A, **own), cli.counts(A, "--files-only", **own)) == ("none", "block")
    assert (cli.counts(A, "--lists", own["LANJIE_LISTS"]), cli.counts(A, "--live", **own)) == ("block", "none")
    cli.change("lists", "add", A)
    assert cli.counts(A) == "block"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty; expected one number a line"),
        ("x\ny\n", "0 of 2 lines usable"),
        (f"{A}\nx\n", "1 of 2 lines unusable; expected at most 1%"),
        (f"number,op\n{A},remove\n", "has op=remove; expected none: a feed is always whole"),
    ],
)
def test_content_that_cannot_be_right_is_refused(cli: Cli, text: str, says: str):
    (cli.folder / "feed.csv").write_text(text)
    assert says in cli.refused("lists", "import", cli.folder / "feed.csv", "--feed", "op-b")
    assert cli.json("lists", "show")["feeds"] == []


def test_a_snapshot_is_imported_byte_by_byte_and_several_files_as_one(cli: Cli):
    one, two, built = cli.file(f"{A},50"), cli.file(f"{B},50", name="two.csv"), cli.folder / "built.lanjie"
    cli.run("lists", "build", "-o", built, f"grey:{one}")
    cli.change("lists", "import", built, "--feed", "op-b", "--stage", "enforce")
    digest = hashlib.sha256(built.read_bytes()).hexdigest()
    assert cli.counts(A) == "grey"
    assert (cli.folder / "cli" / "contents" / digest).read_bytes() == built.read_bytes()
    cli.change("lists", "import", built, f"immutable:{two}", "--feed", "op-b")
    assert (cli.counts(A), cli.counts(B)) == ("grey", "immutable")
    assert "to upload" not in cli.change("lists", "import", built, f"immutable:{two}", "--feed", "op-b")


def test_upheld_appeals_stop_a_feed_and_a_rule(cli: Cli):
    cli.change("lists", "import", cli.file(f"{A},50", f"{C},50"), "--feed", "op-b", "--stage", "enforce")
    cli.change("lists", "cap", "op-b", "--appeals", 2)
    cli.change("appeal", A, "--against", "feed:op-b")
    assert (cli.counts(A), cli.counts(C)) == ("allow", "block")
    cli.change("appeal", A, "--against", "feed:op-b", "--days", 60)
    assert cli.counts(C) == "none"
    (feed,) = cli.json("lists", "show")["feeds"]
    assert (feed["stage"], feed["action"]) == ("shadow", "appeal")

    cli.change("rules", "cap", "TEXT_BANK_POINTS", "--appeals", 1)
    cli.change("appeal", B, "--against", "TEXT_BANK_POINTS")
    assert cli.json("rules", "show", "TEXT_BANK_POINTS")["stage"]["stage"] == "shadow"
    assert "no rule of pack" in cli.refused("appeal", A, "--against", "TEXT_BANK_POINT")
    assert "expected one number" in cli.run("appeal", "170*", "--against", "X", "--reason", "x", code=2).output


async def test_two_at_the_same_time_both_succeed(cli: Cli):
    each = [cli.process("lists", "add", number, "--reason", "a test") for number in (A, B, C)]
    for code, said in await asyncio.gather(*each):
        assert code == 0, said
    code, said = await cli.process("changes", "verify")
    assert code == 0, said
    assert "changes.v1: 3 records, head " in said
    code, said = await cli.process("lists", "show", "--json")
    assert json.loads(said)["manual"]["added"] == {"block": 3}


async def test_a_number_is_blocked_by_the_worker_as_soon_as_the_command_returns(pipeline: Pipeline):
    worker, cli = await pipeline.start(), Cli(pipeline.bootstrap, pipeline.folder, pipeline.prefix)
    await worker.until("/ready", lambda body: json.loads(body)["ready"])
    code, said = await cli.process("lists", "add", "13900000001", "--weight", "150", "--reason", "a test")
    assert code == 0
    assert "change 1 is in force on 1 workers after " in said
    await pipeline.publish(sms([f"e-{n}" for n in range(40)]))
    found = await decided(pipeline, 40)
    assert {d.subject for d in found.values() if d.action == "block"} == {"+8613900000001"}
    code, said = await cli.process("changes", "workers", "--json")
    (row,) = json.loads(said)["workers"]
    assert (row["serial"], row["lists"], row["refused"]) == (1, found["e-0"].lists, "")
