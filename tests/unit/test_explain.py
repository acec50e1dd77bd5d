"""Explanations, worked out by hand from tests/support/rules.py: LIST_GREY 35, TEXT_BANK 60, both together 30 more."""

import json

import pytest
from click.testing import CliRunner

from detectors.engine import Engine, Snapshot
from detectors.explain import Change, explain
from detectors.lists import Entry, ListKind, NumberIndex
from detectors.lists.entry import Provenance
from detectors.model.events import CardEvent, SmsEvent
from detectors.rulepack import load_rules
from stream.cli import main
from stream.cli.explain_view import ACTIONS, lines
from stream.wire import encode_event
from tests.support.rules import files

ENTRIES = [
    Entry("+8613800000001", Provenance(ListKind.GREY, "shared", "reported")),
    Entry("+8613800000002", Provenance(ListKind.BLOCK, "shared", "reported")),
    Entry("+8613800000003", Provenance(ListKind.ALLOW, "shared", "reported")),
]
BANK = "【工商银行】您的积分即将过期"


def explained(a_number, text, b_number="13900000000"):
    engine = Engine(Snapshot.build(load_rules(files()), NumberIndex(ENTRIES)))
    return explain(engine, SmsEvent(id="e", time=1_790_000_000_000, a_number=a_number, b_number=b_number, text=text))


def test_which_signs_a_decision_rests_on():
    found = explained("13800000001", BANK)
    assert (found.decision.action, found.score) == ("block", 125)
    assert found.changes == (
        Change(("LIST_GREY",), "challenge"),  # 60
        Change(("TEXT_BANK",), "label"),  # 35
        Change(("TEXT_BANK", "LIST_GREY"), "allow"),
    )
    assert found.next_step == ""


def test_how_the_score_came_about():
    found = explained("13900000009", BANK + ",反诈中心提醒")
    assert [(s.group, s.total, s.cap, s.counted) for s in found.shares] == [("text", -20, 90, 0)]
    assert (found.decision.action, found.next_step, found.points) == ("allow", "label", 20)
    assert found.changes == (Change(("TEXT_NOTICE",), "challenge"),)  # without the excuse


def test_a_ceiling_shows_what_the_score_alone_would_reach():
    found = explained("13900000009", BANK)
    assert (found.reached, found.ceiling, found.next_step, found.points) == ("challenge", "delay", "delay", 10)


@pytest.mark.parametrize(
    ("a_number", "b_number", "override", "would_be"),
    [("13800000002", "110", "PROTECTED", "block"), ("13800000003", "13900000000", "LIST_ALLOW", "challenge")],
)
def test_what_overrides_the_score_is_named(a_number, b_number, override, would_be):
    found = explained(a_number, BANK, b_number)
    assert (found.decision.action, found.override) == ("allow", override)
    assert found.changes[0] == Change((override,), would_be)


def test_a_clean_event_has_nothing_to_change():
    found = explained("13900000009", "今晚回家吃饭")
    assert (found.decision.action, found.changes, found.shares, found.score) == ("allow", (), (), 0)


@pytest.fixture
def event_file(tmp_path):
    event = SmsEvent(
        id="e1", time=1_790_000_000_000, a_number="13800001234", b_number="13911112222",
        text="尊敬的建行客户：您的积分可兑换现金360元，请登录 http://ccb.example 领取",
    )  # fmt: skip
    path = tmp_path / "event.json"
    path.write_bytes(encode_event(event))
    return path


def run(*args):
    return CliRunner().invoke(main, ["explain", *map(str, args)])


def test_the_page_speaks_the_language_asked_for_and_masks_numbers(event_file):
    both, zh, en = (run(event_file, "--lang", lang).output for lang in ("both", "zh", "en"))
    action = json.loads(run(event_file, "--json").output)["decision"]["action"]
    assert ACTIONS[action][0] in both
    assert ACTIONS[action][1] in both
    assert ACTIONS[action][0] in zh
    assert ACTIONS[action][1] not in zh
    assert ACTIONS[action][0] not in en
    assert "13800001234" not in both
    assert "13911112222" not in both


def test_the_span_points_into_the_message(event_file):
    reason = json.loads(run(event_file, "--json").output)["decision"]["reasons"][0]
    text = json.loads(event_file.read_bytes())["text"]
    assert text[slice(*reason["span"])] in text
    assert f"…{text[: reason['span'][1]]}" in run(event_file).output


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "expected"), (b"{", "event.json: "), (b"x" * (1 << 20) + b"x", "longer than"), (None, "No such file")],
)
def test_a_file_that_holds_no_event_is_refused_in_one_line(tmp_path, content, says):
    path = tmp_path / "event.json"
    if content is not None:
        path.write_bytes(content)
    result = run(path)
    assert result.exit_code != 0
    assert says in result.output
    assert "Traceback" not in result.output


def test_a_measure_about_a_sim_card_is_told_as_one():
    event = CardEvent(
        id="c",
        time=1_790_000_000_000,
        a_number="13800000001",
        phase="counted",
        identity_cards=6,
        identity_channels=3,
        agent_cards=15,
    )
    found = explain(Engine(Snapshot.build(load_rules(), NumberIndex())), event)
    shown = "\n".join(lines(found, event, "", (0, 1)))
    assert "tell its holder" in shown
    assert "victim" not in shown
    assert "agent_cards 15 of 20" in shown  # nearly
