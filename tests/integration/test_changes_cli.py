"""`lanjie changes` on the real broker: the log, the chain that shows what was tampered with, and the four eyes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stream.topics import CHANGES, LISTS
from stream.updates import chain
from tests.integration.test_list_changes import A, B, C, Cli
from tests.support.topics import publish

PEOPLE = ("zhang", "li", "wang")


@pytest.fixture
def cli(kafka: str, tmp_path: Path) -> Cli:
    return Cli(kafka, tmp_path)


class People:
    """Whom the trust file knows, and their keys."""

    def __init__(self, cli: Cli, approvals: int) -> None:
        self._cli, self._folder = cli, cli.folder
        known = [cli.run("keys", "make", name, "-o", self._folder / f"{name}.key").output for name in PEOPLE]
        trust = self._folder / "trust.toml"
        trust.write_text(f"approvals = {approvals}\n" + "\n".join(known))
        cli.environ["LANJIE_TRUST"] = str(trust)

    def who(self, name: str) -> dict[str, str]:
        return {"LANJIE_AUTHOR": name, "LANJIE_KEY": str(self._folder / f"{name}.key")}

    def add(self, name: str, number: str) -> str:
        return self._cli.change("lists", "add", number, **self.who(name))

    def approve(self, name: str, serial: int, *, code: int = 0) -> str:
        return self._cli.run("changes", "approve", serial, code=code, **self.who(name)).output


def head(cli: Cli) -> str:
    return cli.run("changes", "verify").output.split()[-1]


def test_the_log_says_who_what_when_and_why(cli: Cli):
    assert cli.run("changes", "log").output == "no change was made\n"
    cli.change("lists", "add", A)
    cli.change("lists", "add", B, C, LANJIE_AUTHOR="li")
    found = cli.json("changes", "log")["changes"]
    assert [(c["serial"], c["author"], c["action"], c["target"], c["records"]) for c in found] == [
        (1, "zhang", "add", "block: +86138******01", 1),
        (2, "li", "add", "block: 2 patterns", 2),
    ]
    (last,) = cli.run("changes", "log", "--last", 1).output.splitlines()
    assert last == f"2  {found[1]['time']}  li  add: block: 2 patterns, 2 records: a test"
    assert cli.json("changes", "log", "--since", found[1]["time"])["changes"] == found[1:]
    assert cli.json("changes", "workers")["workers"] == []


def test_a_head_that_was_written_down_proves_the_past(cli: Cli):
    assert head(cli) == "-"
    cli.change("lists", "add", A)
    before = head(cli)
    cli.change("lists", "add", B)
    assert head(cli) != before
    cli.run("changes", "verify", "--head", before)
    assert "this is another history" in cli.run("changes", "verify", "--head", "0" * 64, code=1).output


def test_what_is_slipped_into_the_chain_is_found(cli: Cli):
    cli.change("lists", "add", A)
    cli.change("lists", "add", B)
    topic = cli.settings.named(CHANGES).name
    first, _ = asyncio.run(chain.read_all(cli.settings.kafka, topic))
    forged = [(first.key, first.value, first.headers), (b"entry/block/+8613800000009", b"{}", ())]
    asyncio.run(publish(cli.settings.bootstrap, topic, forged))
    said = cli.run("changes", "verify", code=1).output
    assert f"{topic} offset 4: its link does not follow from the record before it" in said
    assert f"{topic} offset 5: header change: missing" in said
    assert "2 problems" in said
    assert "see `lanjie changes verify`" in cli.run("lists", "history", A, code=1).output


def test_what_went_round_the_chain_is_found(cli: Cli):
    cli.change("lists", "add", A)
    (known,) = asyncio.run(chain.read_all(cli.settings.kafka, cli.settings.named(CHANGES).name))
    header = ("change", dict(known.headers)["change"])
    value = known.value.replace(b"8613800000001", b"8613800000009")
    topic = cli.settings.named(LISTS).name
    asyncio.run(publish(cli.settings.bootstrap, topic, [(b"entry/block/+8613800000009", value, [header])]))
    said = cli.run("changes", "verify", code=1).output
    assert f"{topic}: add block +86138******09: in force, but not on the chain" in said


def test_a_change_waits_until_another_person_has_signed_it(cli: Cli):
    people = People(cli, approvals=2)
    assert people.add("zhang", A) == "change 1 waits for another person: lanjie changes approve 1\n"
    assert cli.counts(A) == "none"
    (waiting,) = cli.json("changes", "pending")["pending"]
    assert (waiting["serial"], waiting["author"], waiting["signers"]) == (1, "zhang", ["zhang"])
    assert waiting["records"] == ["add block +8613800000001"]
    assert "1 of 2 have signed" in cli.run("changes", "pending").output
    assert "1: zhang has signed it already; another person must" in people.approve("zhang", 1, code=1)
    assert "9: no proposal waits under this number" in people.approve("li", 9, code=1)
    assert "chen is not among them" in cli.run("changes", "approve", 1, "--as", "chen", code=1).output

    assert people.approve("li", 1) == "change 2 is written; no worker is running\n"
    assert cli.counts(A) == "block"
    assert cli.run("changes", "pending").output == "nothing waits\n"
    (row,) = cli.json("lists", "history", A)["changes"]
    assert (row["author"], row["signers"]) == ("zhang", ["li", "zhang"])
    assert [c["action"] for c in cli.json("changes", "log")["changes"]] == ["add (proposed)", "changes approved", "add"]
    cli.run("changes", "verify")


def test_what_is_rejected_comes_to_nothing(cli: Cli):
    people = People(cli, approvals=2)
    people.add("zhang", A)
    assert cli.run("changes", "reject", 1, **people.who("li")).output == "proposal 1 is rejected\n"
    assert "no proposal waits" in people.approve("li", 1, code=1)
    assert cli.counts(A) == "none"


def test_what_changed_meanwhile_is_proposed_again(cli: Cli):
    people = People(cli, approvals=2)
    people.add("zhang", A)
    people.add("li", A)
    people.approve("wang", 2)
    assert "was changed since it was proposed; propose it again" in people.approve("wang", 1, code=1)


def test_three_have_to_sign_and_others_propose_in_between(cli: Cli):
    people = People(cli, approvals=3)
    people.add("zhang", A)
    people.add("zhang", B)
    assert "waits for another person" in people.approve("li", 1)
    people.add("zhang", C)
    waiting = {each["serial"]: each["records"] for each in cli.json("changes", "pending")["pending"]}
    assert len(waiting) == 3
    assert waiting[1] == ["add block +8613800000001"]
    people.approve("wang", 1)
    assert [cli.counts(number) for number in (A, B, C)] == ["block", "none", "none"]
    serials = [each["serial"] for each in cli.json("changes", "log")["changes"]]
    assert serials == sorted(serials)


def test_who_is_not_known_changes_nothing(cli: Cli):
    people = People(cli, approvals=1)
    assert "chen is not among them" in cli.refused("lists", "add", A, "--as", "chen")
    assert "changes must be signed" in cli.refused("lists", "add", A)
    assert people.add("zhang", A) == "change 1 is written; no worker is running\n"
    assert cli.counts(A) == "block"
