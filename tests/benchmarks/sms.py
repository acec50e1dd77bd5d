"""What the shipped rules catch and whom they trouble, on published message collections.

    python -m tests.benchmarks.sms [--data FOLDER]

Each message is decided by itself: one sender, days apart, no number list, so that no list, window or campaign adds to
what its text says.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.model.decision import ACTIONS, Action
from detectors.model.events import SmsEvent
from detectors.rulepack import load_rules
from loadtest.score import wilson
from tests.benchmarks.report import Finding, Section, percent, run, table
from tests.benchmarks.sms_data import DATA, HELD_OUT, PARTS, Sms, is_fraud, is_ham, load, parts

STEPS = (Action.WARN, Action.CHALLENGE, Action.DELAY, Action.BLOCK)
JUDGED = ("fake_base_station_zh", "telecom_fraud_scripts_zh")  #: whose fraud is to be found
RECALL, TROUBLED = 0.95, 0.001
T0, DAY = 1_790_000_000_000, 86_400_000
ABOUT_TEXT = ("TEXT_", "CONTENT_", "MESSAGE_SCORE")  #: prefixes of the codes that a text alone can have

Counts = Counter[Action]


def decide(engine: Engine, messages: Sequence[Sms]) -> list[Action]:
    """What ``engine`` does about each message by its text alone.

    Raises:
        ValueError: something else than the text spoke, which would spoil the figures.
    """
    events = [
        SmsEvent(id=f"q{i}", time=T0 + i * DAY, a_number="+8613800000000", b_number="+8613900000000", text=message.text)
        for i, message in enumerate(messages)
    ]
    decisions = [decision for at in range(0, len(events), 500) for decision in engine.decide(events[at : at + 500])]
    for code in {reason.code for decision in decisions for reason in decision.reasons}:
        if not code.startswith(ABOUT_TEXT):
            raise ValueError(f"{code}: not a sign of the text alone")
    return [ACTIONS[decision.action] for decision in decisions]


def rules_alone(messages: Sequence[Sms]) -> list[Action]:
    """What the shipped rules do about each message."""
    return decide(Engine(Snapshot.build(load_rules(), NumberIndex())), messages)


def findings(name: str, messages: Sequence[Sms], in_part: Sequence[str], actions: Sequence[Action]) -> list[Finding]:
    """The requirements, for ``name``: "rules alone" or with what."""
    found = []
    for judged, sources in (("both collections", JUDGED), *((source, (source,)) for source in JUDGED)):
        for part, where in ((None, "all messages"), (HELD_OUT, "held-out quarter")):
            seen = Counter(
                action
                for message, of, action in zip(messages, in_part, actions, strict=True)
                if is_fraud(message) and message.source in sources and part in (None, of)
            )
            hit, count = _reaching(seen, Action.WARN), seen.total()
            low, high = wilson(hit, count) or (0.0, 1.0)
            figure = f"{hit / max(count, 1):.4f} ({hit:,} of {count:,}; 95 % {low:.3f}-{high:.3f})"
            requirement = f"{name}: fraud + illegal of {judged} at warn or above, {where}: recall >= {RECALL}"
            found.append(Finding(requirement, figure, hit >= RECALL * count > 0))
    ham = Counter(action for message, action in zip(messages, actions, strict=True) if is_ham(message))
    for step, most in ((Action.CHALLENGE, TROUBLED), (Action.BLOCK, 0.0)):
        hit, count = _reaching(ham, step), ham.total()
        allowed = f"at most {most * 1000:g} in 1,000" if most else "none"
        at = f"{step.wire} or above" if step < Action.BLOCK else step.wire
        figure = f"{hit} of {count:,} ({1000 * hit / max(count, 1):.3f} in 1,000)"
        found.append(Finding(f"{name}: ham at {at}: {allowed}", figure, hit <= most * count and count > 0))
    return found


def by_class(messages: Sequence[Sms], in_part: Sequence[str], actions: Sequence[Action]) -> str:
    """One row a collection, label group and class: messages, and the part at each measure or above, in either part."""
    rows: dict[tuple[str, str, str], dict[str, Counts]] = defaultdict(lambda: defaultdict(Counter))
    for message, part, action in zip(messages, in_part, actions, strict=True):
        group = "fraud + illegal" if is_fraud(message) else message.label
        for kind in ("(all)", message.fraud_class):
            rows[message.source, group, kind][part][action] += 1
    heads = ["collection", "label", "class"]
    for part in PARTS:
        heads += [f">n {part}", *(f">{step.wire}" for step in STEPS)]
    return table(heads, ([*key, *(cell for part in PARTS for cell in _cells(rows[key][part]))] for key in sorted(rows)))


def ham_table(messages: Sequence[Sms], actions: Sequence[Action]) -> str:
    """Ham that is troubled, in messages, by collection."""
    rows: dict[str, Counts] = defaultdict(Counter)
    for message, action in zip(messages, actions, strict=True):
        if is_ham(message):
            for source in (message.source, "(all)"):
                rows[source][action] += 1
    heads = ("ham, all messages", ">n", *(f">{step.wire} or above" for step in STEPS[:-1]), ">block")
    return table(
        heads, ([s, f"{c.total():,}", *(_reaching(c, step) for step in STEPS)] for s, c in sorted(rows.items()))
    )


def _cells(seen: Counts) -> list[str]:
    return [f"{seen.total():,}", *(percent(_reaching(seen, step), seen.total()) for step in STEPS)]


def _reaching(seen: Counts, step: Action) -> int:
    return sum(count for action, count in seen.items() if action >= step)


def section(data: Path) -> Section:
    """The shipped rules alone."""
    messages = load(data / "sms")
    in_part, actions = parts(messages), rules_alone(messages)
    text = (
        "Shipped rules, no number list, each message by itself. The part of the messages at each measure or above; "
        "`dev` is what the rules were written against, and only the `held-out` quarter (split by near-duplicate "
        "groups) says what to expect of unseen texts. Advertising counts as neither fraud nor ham.\n\n"
        f"{by_class(messages, in_part, actions)}\n\n{ham_table(messages, actions)}\n"
    )
    return Section(text, tuple(findings("Rules alone", messages, in_part, actions)))


def markdown(data: Path = DATA) -> tuple[str, bool]:
    """The section of the report, and whether the requirements are met."""
    return section(data).markdown()


if __name__ == "__main__":
    run(__doc__, section)
