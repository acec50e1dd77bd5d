"""Rule packs from disk, built by another process."""

import shutil

import pytest
from click.testing import CliRunner

from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.model.errors import RuleError
from detectors.model.events import SmsEvent
from detectors.rulepack import load_rules
from loadtest import sample
from stream.cli import main
from stream.rule_files import build_in_background, read_pack, shipped
from stream.wire import decode_decision, encode_event
from tests.support.rules import files


@pytest.fixture
def folder(tmp_path):
    """The small pack as files."""
    for name, data in files().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_a_folder_is_the_pack_that_it_holds(folder, tmp_path_factory):
    assert read_pack(folder) == load_rules(files())
    copy = tmp_path_factory.mktemp("copy") / "rules"
    shutil.copytree(shipped(), copy)
    assert read_pack(copy) == read_pack(None) == load_rules()


async def test_what_another_process_builds_decides_the_same(folder):
    events = sample.load().events
    here = Engine(Snapshot.build(load_rules(), NumberIndex())).decide(events)
    there = Engine(Snapshot.of(await build_in_background(None), NumberIndex())).decide(events)
    assert there == here
    assert (await build_in_background(folder)).pack == load_rules(files())


async def test_what_is_wrong_with_a_pack_is_told_as_if_it_were_built_here(folder):
    rules = folder / "text" / "small.toml"
    rules.write_text(
        rules.read_text("utf-8").replace('near_misses = ["中心", "反诈"]', 'near_misses = ["反诈中心", "反诈"]')
    )
    with pytest.raises(RuleError, match=r"^text/small\.toml:14: .*near_misses: matched: '反诈中心'"):
        await build_in_background(folder)


def test_another_window_has_to_be_filled_first():
    engine = Engine(Snapshot.build(load_rules(files()), NumberIndex()))
    other = files() | {"behaviour.toml": files()["behaviour.toml"].replace(b"600", b"300")}
    with pytest.raises(RuleError, match=r"behaviour\.toml: \$\.window_seconds: 300, .* 600 s; windows of that length"):
        engine.swap(Snapshot.build(load_rules(other), NumberIndex()))
    assert engine.snapshot.rules == load_rules(files())


def test_a_log_is_decided_by_the_pack_that_is_named(folder, tmp_path):
    event = SmsEvent(
        id="s1", time=1_790_000_000_000, a_number="13800000000", b_number="13900000000", text="建设银行积分"
    )
    (tmp_path / "log.jsonl").write_bytes(encode_event(event) + b"\n")
    result = CliRunner().invoke(main, ["replay", str(tmp_path / "log.jsonl"), "-o", "-", "--rules", str(folder)])
    assert result.exit_code == 0, result.output
    decided = decode_decision(result.stdout.splitlines()[0].encode())
    assert [reason.code for reason in decided.reasons] == ["TEXT_BANK"]
    assert decided.rules == load_rules(files()).version
