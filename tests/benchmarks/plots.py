"""The curves as SVG, the same bytes for the same results."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.benchmarks.schema import Curve, Results

_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "lanjie", "font.family": "sans-serif", "font.size": 9}
_INK, _FAINT = "#1f5fa8", "#999999"


def draw(results: Results, folder: Path) -> list[str]:
    """One file a curve; those of a run before are removed. Returns the names."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    curves = results.growth or {}
    with mpl.rc_context(_STYLE):
        for name, curve in curves.items():
            _figure(curve).savefig(
                folder / f"{name}.svg", metadata={"Date": None, "Creator": None}, facecolor="white"
            )  # fmt: skip
    return list(curves)


def _figure(curve: Curve) -> Figure:
    """Medians with the spread of the rounds, from zero: what is flat is to look flat."""
    figure = Figure(figsize=(5.6, 3.0), layout="constrained")
    axes = figure.add_subplot()
    x = [point.x for point in curve.points]
    for values, colour, label in (
        ([point.us for point in curve.points], _INK, curve.what),
        ([point.bare for point in curve.points], _FAINT, "a dict look-up alone"),
    ):
        if not values[0]:
            continue
        middle = [statistics.median(each) for each in values]
        below = [m - min(each) for m, each in zip(middle, values, strict=True)]
        above = [max(each) - m for m, each in zip(middle, values, strict=True)]
        axes.errorbar(x, middle, (below, above), color=colour, marker="o", markersize=4, capsize=3, label=label)
    if curve.log:
        axes.set_xscale("log")
    axes.set_xticks(x, [_short(each) for each in x])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_title(curve.title, loc="left")
    axes.set_xlabel(curve.x)
    axes.set_ylabel("us")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure


def _short(number: int) -> str:
    for unit, name in ((1_000_000, " M"), (10_000, " k")):
        if number >= unit:
            return f"{number * (1 if unit == 1_000_000 else 10) / unit:g}{name}"
    return f"{number:,}"
