"""`lanjie rules test`: prove all rules of a pack, and try it on a log beside the one in force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click
from msgspec.structs import replace

from detectors.engine import Engine, Snapshot
from detectors.keywords import Automaton
from detectors.model.decision import ACTIONS, Decision
from detectors.model.errors import RuleError
from detectors.model.events import Event
from detectors.normalise.extract import extract
from detectors.normalise.text import normalise
from detectors.rulepack import RulePack, load_rules
from stream.cli.changing import run, where
from stream.cli.replay import BATCH, list_files
from stream.cli.replay_shown import Rejects
from stream.cli.rules import FOLDER
from stream.cli.rules_changes import BASE, files_in_force
from stream.logs import Line, LogReader
from stream.number_files import load_index
from stream.rule_files import read_pack
from stream.settings import Settings
from stream.updates.build import rollout_of
from stream.updates.publisher import read_state
from stream.wire import WireError, decode_event

#: In place of a rule: what no rule explains, such as another ladder.
_REST: Final = "(policy)"


@click.command("test")
@click.argument("logs", nargs=-1, metavar="[LOG]...")
@click.option("--lists", multiple=True, metavar="[KIND:]PATH", help="A number list, for LOG.")
@FOLDER
@BASE
@where
def test(
    *, settings: Settings, folder: Path | None, base: Path | None, logs: tuple[str, ...], lists: tuple[str, ...]
) -> None:
    """Prove every rule of a pack, and tell all that fail.

    With LOG (events as JSON lines, plain, gzip or zstd), also decide them by the pack in force, with its stages, and by
    this one with all of it enforced, and count per rule whose decisions would be stronger or weaker.
    """
    pack = read_pack(folder)
    failures = list(failed_proofs(pack))
    for failure in failures:
        click.echo(failure, err=True)
    positives = sum(len(rule.positives) for rule in pack.text)
    near = sum(len(rule.near_misses) for rule in pack.text)
    rows = (("rules", len(pack.rules)), ("positives", positives), ("near misses", near), ("failures", len(failures)))
    for name, count in rows:
        click.echo(f"{name:<12}{count:>8,}")
    if failures:
        raise RuleError(f"{len(failures)} of {positives + near:,} proofs fail")
    if logs:
        _try(settings, pack, base, logs, lists)


def failed_proofs(pack: RulePack) -> Iterator[str]:
    """Every positive that is not matched and every near miss that is, with its place.

    Raises:
        RuleError: a rule cannot be built at all.
    """
    unproven = replace(pack, text=tuple(replace(rule, positives=(), near_misses=()) for rule in pack.text))
    automaton = Automaton(unproven)
    for rule in pack.text:
        at = f"{pack.places.get(rule.id, 'text')}: $.rule[{rule.id}]"
        for n, text in enumerate(rule.positives):
            if rule.id not in _fired(automaton, text):
                yield f"{at}.positives[{n}]: not matched: {text!r}"
        for n, text in enumerate(rule.near_misses):
            if rule.id in _fired(automaton, text):
                yield f"{at}.near_misses[{n}]: matched: {text!r}"


def _fired(automaton: Automaton, text: str) -> set[str]:
    normalised = normalise(text)
    return {rule.id for rule, _ in automaton.match(text, normalised, extract(text, normalised)).rules}


class Trial:
    """Two engines over the same events.

    Attributes:
        events: decided by both.
        stronger: decisions that would be stronger, by the rules that only one of the two has in its reasons.
        weaker: the same, of weaker ones.
    """

    def __init__(self, now: Snapshot, then: Snapshot) -> None:
        self._now, self._then = Engine(now), Engine(then)
        self.events = 0
        self.stronger: Counter[str] = Counter()
        self.weaker: Counter[str] = Counter()
        self.changed: Counter[bool] = Counter()  #: decisions, by whether they would be stronger

    def decide(self, events: list[Event]) -> None:
        """Count a batch."""
        for now, then in zip(self._now.decide(events), self._then.decide(events), strict=True):
            self.events += 1
            before, after = ACTIONS[now.action], ACTIONS[then.action]
            if before != after:
                rules = {rule for rule, _ in _reasons(now) ^ _reasons(then)}
                (self.stronger if after > before else self.weaker).update(rules or {_REST})
                self.changed[after > before] += 1


def _reasons(decision: Decision) -> set[tuple[str, str]]:
    return {(reason.code, reason.version) for reason in decision.reasons}


def _try(settings: Settings, pack: RulePack, base: Path | None, logs: tuple[str, ...], lists: tuple[str, ...]) -> None:
    events = _events(LogReader(logs))
    index = load_index(list_files(lists), lambda _, error: click.echo(str(error), err=True))
    in_force, rollout = run(_in_force(settings, base))
    trial = Trial(Snapshot.of(Automaton(in_force), index, None, rollout), Snapshot.of(Automaton(pack), index))
    while batch := list(islice(events, BATCH)):
        trial.decide(batch)
    click.echo(f"{trial.events:,} events; {in_force.version} with its stages -> {pack.version}, all of it enforced:")
    click.echo(f"{trial.changed[True]:,} decisions stronger, {trial.changed[False]:,} weaker")
    for rule in sorted(trial.stronger | trial.weaker):
        click.echo(f"{rule:<40}{trial.stronger[rule]:>8,} stronger{trial.weaker[rule]:>8,} weaker")


async def _in_force(settings: Settings, base: Path | None) -> tuple[RulePack, Any]:
    state = await read_state(settings)
    pack = load_rules(await files_in_force(settings, state.pack, base))
    stages = rollout_of(state, {rule.id: str(rule.version) for rule in pack.rules})
    return pack, stages.switched(enforcement=True)  # a trial compares what would be done


def _events(lines: Iterable[Line]) -> Iterator[Event]:
    rejects = Rejects()
    for line in lines:
        try:
            yield decode_event(line.raw)
        except WireError as error:
            rejects.add(line.where, line.raw, error.code, str(error))
