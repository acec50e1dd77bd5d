"""How good, and how fast: precision and recall against labels, exact percentiles.

Positive is what ought to be stopped (label fraud or illegal); predicted positive is a decision of "warn" or more.
Advertising, ham and "other" are negatives. Intervals are Wilson's, 95 %: they hold for small counts and for rates near
0 and 1, where the usual one claims a precision that is not there.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from detectors.model.decision import ACTIONS, Action
from loadtest.truth import FRAUDULENT, SYNTHETIC, Label

K = TypeVar("K")
Z95: Final = 1.959964  # two-sided 95 % of the normal distribution


@dataclass
class Score:
    """A confusion matrix."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def count(self, *, positive: bool, predicted: bool) -> None:
        """One event."""
        if positive:
            self.tp, self.fn = self.tp + predicted, self.fn + (not predicted)
        else:
            self.fp, self.tn = self.fp + predicted, self.tn + (not predicted)

    @property
    def precision(self) -> float | None:
        """Of what was acted on, the part that deserved it. None if nothing was acted on."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        """Of what deserved it, the part that was acted on. None if there was none."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None

    def report(self) -> dict[str, object]:
        """For JSON: counts, rates and their intervals."""
        return {
            "events": self.tp + self.fp + self.fn + self.tn,
            "tp": self.tp,
            "fp": self.fp,
            "fn": self.fn,
            "tn": self.tn,
            "precision": rounded(self.precision),
            "precision_95": wilson(self.tp, self.tp + self.fp),
            "recall": rounded(self.recall),
            "recall_95": wilson(self.tp, self.tp + self.fn),
            "false_alarm_rate": rounded(self.fp / (self.fp + self.tn) if self.fp + self.tn else None),
            "false_alarm_95": wilson(self.fp, self.fp + self.tn),
        }


@dataclass(frozen=True)
class Scores:
    """Overall and by part.

    Attributes:
        overall: over real events; over all if everything is synthetic (``over`` says which).
    """

    overall: Score
    over: str
    by_source: dict[str, Score]
    by_class: dict[tuple[str, str, str], Score]  #: (source, label, class)


def predicted_positive(action: str) -> bool:
    """Whether a measure is felt by somebody."""
    return ACTIONS[action] >= Action.WARN


def score(actions: Mapping[str, str], labels: Mapping[str, Label]) -> Scores:
    """Score the decisions.

    Args:
        actions: event id -> action, of the events that were decided.
        labels: event id -> truth. Events without a label do not count.
    """
    known = [(labels[key], predicted_positive(action)) for key, action in actions.items() if key in labels]
    real = [row for row in known if row[0].source != SYNTHETIC]
    return Scores(
        overall=_sum(real or known),
        over="real events" if real else "synthetic events",
        by_source=_split(known, lambda label: label.source),
        by_class=_split(known, lambda label: (label.source, label.label, label.cls)),
    )


def wilson(hits: int, total: int) -> list[float] | None:
    """Wilson's 95 % interval of hits / total; None without events."""
    if not total:
        return None
    p, z2 = hits / total, Z95**2
    centre = p + z2 / (2 * total)
    half = Z95 * math.sqrt(p * (1 - p) / total + z2 / (4 * total * total))
    return [round(max(0.0, (centre + sign * half) / (1 + z2 / total)), 4) for sign in (-1, 1)]


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest of the sorted ``values`` that at least ``percent`` % of them do not exceed (nearest rank)."""
    if not values:
        return None
    return values[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def rounded(value: float | None) -> float | None:
    """To four digits, for reports."""
    return None if value is None else round(value, 4)


def _sum(rows: Iterable[tuple[Label, bool]]) -> Score:
    total = Score()
    for label, predicted in rows:
        total.count(positive=label.label in FRAUDULENT, predicted=predicted)
    return total


def _split(rows: Iterable[tuple[Label, bool]], key: Callable[[Label], K]) -> dict[K, Score]:
    parts: dict[K, list[tuple[Label, bool]]] = defaultdict(list)
    for row in rows:
        parts[key(row[0])].append(row)
    return {name: _sum(part) for name, part in sorted(parts.items(), key=lambda item: str(item[0]))}
