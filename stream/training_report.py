"""What a fitted message score is worth, in figures: for JSON, for the model's header, and as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import Any, Final, Protocol

import numpy as np
from rich.table import Table

from detectors.score.model import Floats
from stream.training import Fitted, Row, Truth

Z: Final = 1.959964  #: of a normal's middle 95 %
TENTHS: Final = 10
SPLITS: Final = {
    "row": "row by row",
    "cluster": "near-duplicates together",
    "source": "source never seen",
}
_MEASURES: Final = ("precision", "recall", "false_alarms")
_BESIDE: Final = ("row", "source")
_DIGITS: Final = 5


class Classed(Row, Protocol):
    """A labelled message with its collection's own class."""

    @property
    def kind(self) -> str: ...


def report(rows: Sequence[Classed], fitted: Fitted) -> dict[str, Any]:
    """All figures, at the model's threshold. ``splits`` -> way of splitting -> overall, by source and by class."""
    sizes = np.unique(fitted.clusters, return_counts=True)[1]
    return {
        "rows": len(rows),
        "positive": int(fitted.positive.sum()),
        "clusters": int(sizes.size),
        "largest_cluster": int(sizes.max()),
        "threshold": fitted.model.parameters.threshold,
        "splits": {name: _split(rows, fitted, found) for name, found in fitted.splits.items()},
    }


def wilson(hits: int, count: int) -> list[float] | None:
    """A share with its 95 % interval (Wilson 1927): ``[share, low, high]``; None of nothing."""
    if not count:
        return None
    share, square = hits / count, Z * Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = Z * sqrt(share * (1 - share) / count + square / (4 * count * count)) / (1 + square / count)
    return [round(x, _DIGITS) for x in (share, max(0.0, middle - half), min(1.0, middle + half))]


def _split(rows: Sequence[Classed], fitted: Fitted, probabilities: Floats) -> dict[str, Any]:
    known = ~np.isnan(probabilities)
    told = known & (probabilities >= fitted.model.parameters.threshold)
    source = np.array([row.source for row in rows])
    kind = np.array([row.kind or row.label for row in rows])
    truth = fitted.positive
    return {
        "all": _figures(truth, told, known),
        "brier": round(float(np.mean((probabilities[known] - truth[known]) ** 2)), 6) if known.any() else None,
        "calibration": _tenths(probabilities[known], truth[known]),
        "sources": {
            str(name): {
                **_figures(truth, told, known & (source == name)),
                "classes": {
                    str(each): _figures(truth, told, known & (source == name) & (kind == each))
                    for each in np.unique(kind[source == name])
                },
            }
            for name in np.unique(source)
        },
    }


def _figures(truth: Truth, told: Truth, among: Truth) -> dict[str, Any]:
    hits, alarms = int((told & truth & among).sum()), int((told & ~truth & among).sum())
    positive = int((truth & among).sum())
    return {
        "n": int(among.sum()),
        "positive": positive,
        "precision": wilson(hits, hits + alarms),
        "recall": wilson(hits, positive),
        "false_alarms": wilson(alarms, int(among.sum()) - positive),
    }


def _tenths(probabilities: Floats, truth: Truth) -> list[dict[str, Any]]:
    """Of each tenth of the scale: rows, mean probability, and how many were positive."""
    tenth = np.minimum((probabilities * TENTHS).astype(np.int64), TENTHS - 1)
    found = []
    for n in range(TENTHS):
        inside = tenth == n
        if count := int(inside.sum()):
            mean = round(float(probabilities[inside].mean()), _DIGITS)
            found.append(
                {"from": n / TENTHS, "n": count, "mean": mean, "positive": wilson(int(truth[inside].sum()), count)}
            )
    return found


def pages(figures: Mapping[str, Any]) -> Iterator[Table]:
    """The same for a person."""
    yield _by_source(figures["splits"])
    yield _calibration(figures["splits"])


def _by_source(splits: Mapping[str, Any]) -> Table:
    table = Table(title=f"per cent, out of fold, {SPLITS['cluster']}; ( ): Wilson 95 %; and the same split otherwise")
    for head in ("source, class", "rows", "positive", *(measure.replace("_", " ") for measure in _MEASURES)):
        table.add_column(head, justify="left" if "class" in head else "right", no_wrap=True)
    for name in _BESIDE:
        for measure in ("recall", "false alarms"):
            table.add_column(f"{measure}, {SPLITS[name]}", justify="right", max_width=13)

    def add(title: str, found: Mapping[str, Mapping[str, Any]], *, one_class: bool = False) -> None:
        main = found["cluster"]
        cells = ["-" if one_class else _cell(main["precision"]), _cell(main["recall"]), _cell(main["false_alarms"])]
        cells += [_bare(found[name][measure]) for name in _BESIDE for measure in ("recall", "false_alarms")]
        table.add_row(title, f"{main['n']:,}", f"{main['positive']:,}", *cells)

    for name, source in splits["cluster"]["sources"].items():
        of_source = {split: each["sources"][name] for split, each in splits.items()}
        add(name, of_source)
        if len(source["classes"]) > 1:
            for kind in source["classes"]:
                found = {split: each["classes"][kind] for split, each in of_source.items()}
                add(f"  {kind}", found, one_class=True)
    table.add_section()
    add("all", {split: each["all"] for split, each in splits.items()})
    return table


def _calibration(splits: Mapping[str, Any]) -> Table:
    brier = {name: split["brier"] for name, split in splits.items() if split["brier"] is not None}
    table = Table(
        title="calibration; Brier " + ", ".join(f"{score:.4f} {SPLITS[name]}" for name, score in brier.items())
    )
    table.add_column("probability")
    for name in brier:
        for head in ("rows", "mean", "positive"):
            table.add_column(f"{head}, {SPLITS[name]}", justify="right")
    for n in range(TENTHS):
        cells = []
        for name in brier:
            tenth = next((t for t in splits[name]["calibration"] if t["from"] == n / TENTHS), None)
            cells += [f"{tenth['n']:,}", f"{tenth['mean']:.2f}", _cell(tenth["positive"])] if tenth else ["-"] * 3
        table.add_row(f"{n / TENTHS:.1f} to {(n + 1) / TENTHS:.1f}", *cells)
    return table


def _bare(share: Sequence[float] | None) -> str:
    return "-" if share is None else f"{100 * share[0]:.2f}" if share[0] < 0.01 else f"{100 * share[0]:.1f}"


def _cell(share: Sequence[float] | None) -> str:
    if share is None:
        return "-"
    value, low, high = (100 * x for x in share)
    return f"{value:.2f} ({low:.2f}-{high:.2f})" if value < 1 else f"{value:.1f} ({low:.1f}-{high:.1f})"
