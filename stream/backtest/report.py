"""What a back-test found, as figures: one dictionary, which is the JSON report and of which the page is made."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from detectors.engine import Snapshot
from detectors.model.decision import ACTIONS, Action
from loadtest.score import Score, predicted_positive, rounded, wilson
from loadtest.truth import FRAUDULENT
from stream.backtest.affected import CHANGES, Shown, Sides, affected, kind_of, kind_of_subscriber, version
from stream.backtest.cost import Cost, Spread
from stream.backtest.found import SIDES, UNKNOWN, Backtest, Rule, Side, Truth

SCHEMA: Final = "lanjie-backtest/1"
PAIRS: Final = 20  # of rules, those that fire together most often


def figures(found: Backtest, sides: Sides, shown: Shown, cost: Cost | None) -> dict[str, Any]:
    """All of it. The same log, packs and lists give the same, but for the cost, which is measured."""
    return {
        "schema": SCHEMA,
        "before": _versions(sides.before),
        "after": _versions(sides.after),
        "blocked_from": shown.blocked_from.wire,
        "events": found.events,
        "actions": _actions(found),
        "changed_events": _changed_events(found, shown.blocked_from),
        "changed_subscribers": _changed_subscribers(found, shown.blocked_from),
        "labels": _labels(found) if shown.labelled else None,
        "rules": _rules(found, shown),
        "overlap": _overlap(found),
        "subscribers": affected(found, sides, shown),
        "cost": _cost(cost) if cost else None,
    }


def share(hits: int, total: int) -> dict[str, Any] | None:
    """A part of a whole with its 95 % interval (Wilson); None of nothing."""
    interval = wilson(hits, total)
    if interval is None:
        return None
    return {"value": rounded(hits / total), "low": interval[0], "high": interval[1], "of": total}


def _versions(snapshot: Snapshot) -> dict[str, str]:
    model = snapshot.model.version if snapshot.model else ""
    return {"rules": snapshot.rules_version, "lists": snapshot.lists_version, "model": model}


def _actions(found: Backtest) -> list[dict[str, Any]]:
    counts: Counter[tuple[str, Action, Action]] = Counter()
    for move, count in found.moves.items():
        counts[move.kind, ACTIONS[move.before], ACTIONS[move.after]] += count
    return [
        {"kind": kind, "before": before.wire, "after": after.wire, "events": count}
        for (kind, before, after), count in sorted(counts.items())
    ]


def _changed_events(found: Backtest, blocked_from: Action) -> dict[str, int]:
    counts = dict.fromkeys((*CHANGES, "newly_acted_on", "no_longer_acted_on"), 0)
    for move, count in found.moves.items():
        if kind := kind_of(ACTIONS[move.before], ACTIONS[move.after], blocked_from):
            counts[kind] += count
        if acted := _acted(move.before, move.after):
            counts[acted] += count
    return counts


def _acted(before: str, after: str) -> str:
    was, now = predicted_positive(before), predicted_positive(after)
    return "" if was == now else "newly_acted_on" if now else "no_longer_acted_on"


def _changed_subscribers(found: Backtest, blocked_from: Action) -> dict[str, int]:
    counts = dict.fromkeys((*CHANGES, "other"), 0)
    for subscriber in found.subscribers.values():
        if kind := kind_of_subscriber(subscriber, blocked_from):
            counts[kind] += 1
    return counts


def _labels(found: Backtest) -> dict[str, Any]:
    scores: dict[Side, Score] = {side: Score() for side in SIDES}
    classes: dict[tuple[str, str], Counter[str]] = {}
    for move, count in found.moves.items():
        if move.truth == UNKNOWN:
            continue
        row = classes.setdefault(move.truth, Counter())
        row["events"] += count
        for side, action in zip(SIDES, (move.before, move.after), strict=True):
            acted = predicted_positive(action)
            row[side] += count * acted
            _add(scores[side], count, positive=move.truth.label in FRAUDULENT, predicted=acted)
        if acted_on := _acted(move.before, move.after):
            row[acted_on] += count
    rows = [
        {
            "label": label,
            "class": cls,
            "fraud": label in FRAUDULENT,
            "events": row["events"],
            "acted_on": {side: share(row[side], row["events"]) for side in SIDES},
            "newly_acted_on": row["newly_acted_on"],
            "no_longer_acted_on": row["no_longer_acted_on"],
        }
        for (label, cls), row in sorted(classes.items())
    ]
    known = sum(row["events"] for row in classes.values())
    return {"events": known, **{side: _score(score) for side, score in scores.items()}, "classes": rows}


def _add(score: Score, count: int, *, positive: bool, predicted: bool) -> None:
    name = ("t" if positive == predicted else "f") + ("p" if predicted else "n")
    setattr(score, name, getattr(score, name) + count)


def _score(score: Score) -> dict[str, Any]:
    return {
        **{name: getattr(score, name) for name in ("tp", "fp", "fn", "tn")},
        "precision": share(score.tp, score.tp + score.fp),
        "recall": share(score.tp, score.tp + score.fn),
    }


def _rules(found: Backtest, shown: Shown) -> list[dict[str, Any]]:
    fired: Counter[tuple[Side, Rule]] = Counter()
    for (side, rule, _), count in found.fired.items():
        fired[side, rule] += count
    changes: dict[Rule, Counter[str]] = {}
    for (rule, was, now), count in found.pushed.items():
        row = changes.setdefault(rule, Counter())
        row[kind_of(ACTIONS[was], ACTIONS[now], shown.blocked_from)] += count
        row[_acted(was, now)] += count
    precision = _precision(found) if shown.labelled else {}
    rows = []
    for rule in sorted({rule for _, rule in fired} | changes.keys()):
        row = changes.get(rule, Counter())
        rows.append(
            {
                "code": rule.code,
                "version": version(rule),
                "fired": {side: fired[side, rule] for side in SIDES},
                "alone": {side: found.alone[side, rule] for side in SIDES},
                **{name: row[name] for name in (*CHANGES, "newly_acted_on", "no_longer_acted_on")},
                "labels": precision.get(rule),
            }
        )
    return rows


def _precision(found: Backtest) -> dict[Rule, dict[str, Any]]:
    """Of each rule, over the labelled events: how many of those it fired on are fraud, and of all fraud its part."""
    fraud: Counter[Truth] = Counter()
    for move, count in found.moves.items():
        if move.truth.label in FRAUDULENT:
            fraud[move.truth] += count
    hits: dict[Rule, dict[Side, Counter[Truth]]] = {}
    known: Counter[tuple[Rule, Side]] = Counter()
    for (side, rule, truth), count in found.fired.items():
        if truth != UNKNOWN:
            known[rule, side] += count
            row = hits.setdefault(rule, {each: Counter() for each in SIDES})
            row[side][truth] += count * (truth.label in FRAUDULENT)
    return {
        rule: {
            side: {
                "precision": share(row[side].total(), known[rule, side]),
                "recall": share(row[side].total(), fraud.total()),
                "classes": {"/".join(truth): share(n, fraud[truth]) for truth, n in sorted(row[side].items()) if n},
            }
            for side in SIDES
        }
        for rule, row in hits.items()
    }


def _overlap(found: Backtest) -> list[dict[str, Any]]:
    """Of the rules after the change: Jaccard is events with both, of those with either."""
    fired: Counter[Rule] = Counter()
    for (side, rule, _), count in found.fired.items():
        if side == "after":
            fired[rule] += count
    pairs = [((one, two), n) for (side, one, two), n in found.together.items() if side == "after"]
    return [
        {
            "rules": [{"code": rule.code, "version": version(rule)} for rule in (one, two)],
            "together": both,
            "jaccard": rounded(both / (fired[one] + fired[two] - both)),
        }
        for (one, two), both in sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:PAIRS]
    ]


def _cost(cost: Cost) -> dict[str, Any]:
    names = sorted({name for name, _ in cost.families})
    families = [
        {"family": name, **{side: _spread(cost.families.get((name, side))) for side in SIDES}} for name in names
    ]
    rules = [{"code": code, **_spread(found)} for code, found in sorted(cost.rules.items())]
    return {"events": cost.events, "families": families, "rules": rules, "left_out": cost.left_out}


def _spread(found: Spread | None) -> Any:
    return found and {name: round(value, 3) for name, value in found._asdict().items()}
