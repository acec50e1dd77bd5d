"""`python -m loadtest.sim.fit FOLDER`: the constants of ``fitted.py``, from the Copenhagen call and SMS log.

FOLDER holds ``copenhagen_calls.csv`` and ``copenhagen_sms.csv`` (Sapiezynski et al., Sci Data 6:315, 2019: 14 days of
about 550 students; seconds since the start, duration -1 for a missed call). The data itself is never copied.

    hours     share of the events in each hour of the day; second 0 is taken for a midnight
    week      events of a weekday over the mean weekday, calls and SMS together, Monday first. The log does not name its
              days: day 0 is taken for a Monday, as days 6 and 13 are the quiet ones
    spread    sigma of a person's own rate, log-normal around a mean of 1, events Poisson given the rate: by maximum
              likelihood over the counts of all who appear in either log
    talk      two log-normals, by EM: (share, median in seconds, sigma). One alone misses the many calls of a few
              seconds
    answered  share of the calls that have a duration above 0
    repeat    exponent of the power law by which somebody chooses among acquaintances. The share of events to somebody
              called before is given beside it, but not used: the log knows only calls among its own students

Each fit comes with its chi-square (equal bins by quantile, degrees of freedom: bins - 2) or its Kolmogorov-Smirnov
distance, as comments.
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]

ENOUGH: Final = 10  #: events from which on the order of somebody's contacts says something
DAYS: Final = 14
HOUR: Final = 3600
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)  # of the normal distribution
_LOG_FACTORIAL: Final = np.cumsum(np.log(np.maximum(1, np.arange(4_000))))


def main(folder: Path) -> list[str]:
    """The lines of ``fitted.py`` after its docstring."""
    calls, sms = (_read(folder / f"copenhagen_{kind}.csv") for kind in ("calls", "sms"))
    people = np.unique(np.concatenate((calls[:, 1:3].ravel(), sms[:, 1:3].ravel())))
    seconds = calls[calls[:, 3] > 0, 3]
    talk = _mixture(np.log(seconds))
    lines = [
        f"#: {len(calls)} calls, {len(sms)} SMS of {len(people)} people in {DAYS} days",
        f"CALLS_PER_DAY: Final = {len(calls) / len(people) / DAYS:.3f}",
        f"SMS_PER_DAY: Final = {len(sms) / len(people) / DAYS:.3f}",
        f"ANSWERED: Final = {len(seconds) / len(calls):.3f}",
        f"#: {len(seconds)} calls, distance {_distance(seconds, talk):.4f} (5 %: {1.358 / len(seconds) ** 0.5:.4f})",
        f"TALK: Final = ({', '.join(f'({w:.3f}, {math.exp(m):.2f}, {s:.3f})' for w, m, s in talk)})",
        f"WEEK: Final = {_table(_week(np.concatenate((calls[:, 0], sms[:, 0]))))}",
    ]
    for name, log in (("CALL", calls), ("SMS", sms)):
        counts = np.bincount(np.searchsorted(people, log[:, 1]), minlength=len(people))
        spread = _spread(counts)
        chi, freedom = _goodness(counts, spread)
        lines += [
            f"{name}_HOURS: Final = {_table(np.bincount(log[:, 0] // HOUR % 24, minlength=24) / len(log))}",
            f"#: chi-square {chi:.1f} with {freedom} degrees of freedom",
            f"{name}_SPREAD: Final = {spread:.2f}",
            f"#: {_repeats(log):.3f} of the events go to somebody called before",
            f"{name}_REPEAT: Final = {_exponent(log):.3f}",
        ]
    return lines


def _read(path: Path) -> Array:
    with path.open(encoding="ascii", newline="") as file:
        return np.array([[int(value) for value in row] for row in list(csv.reader(file))[1:]])


def _table(values: Array) -> str:
    rows = [", ".join(f"{value:.4f}" for value in values[i : i + 12]) for i in range(0, len(values), 12)]
    return f"({rows[0]})" if len(rows) == 1 else "(\n    " + ",\n    ".join(rows) + ",\n)  # fmt: skip"


def _week(seconds: Array) -> Array:
    days = np.bincount(seconds // (24 * HOUR) % 7, minlength=7)
    return np.asarray(days / days.mean())


def _mixture(logs: Array, steps: int = 500) -> list[tuple[float, float, float]]:
    """Two normal distributions by EM: (share, mean, sigma), the smaller mean first."""
    share, mean, sigma = np.array([0.5, 0.5]), np.quantile(logs, (0.1, 0.7)), np.array([1.0, 1.0])
    for _ in range(steps):
        density = share * np.exp(-0.5 * ((logs[:, None] - mean) / sigma) ** 2) / sigma
        part = density / density.sum(axis=1, keepdims=True)
        total = part.sum(axis=0)
        share, mean = total / len(logs), (part * logs[:, None]).sum(axis=0) / total
        sigma = np.sqrt((part * (logs[:, None] - mean) ** 2).sum(axis=0) / total)
    return sorted(zip(share.tolist(), mean.tolist(), sigma.tolist(), strict=True), key=lambda row: row[1])


def _distance(seconds: Array, talk: list[tuple[float, float, float]]) -> float:
    """Kolmogorov-Smirnov; the log has whole seconds, so the distribution is read half a second later."""
    far = [
        abs((seconds <= t).mean() - sum(w * 0.5 * math.erfc((m - math.log(t + 0.5)) / s / 2**0.5) for w, m, s in talk))
        for t in np.unique(seconds).tolist()
    ]
    return float(max(far))


def _probabilities(counts: Array, mean: float, spread: float) -> Array:
    """Of so many events for a person whose rate is log-normal (Gauss-Hermite)."""
    rates = mean * np.exp(spread * _NODES - spread**2 / 2)
    logs = counts[:, None] * np.log(rates) - rates - _LOG_FACTORIAL[counts][:, None]
    return np.asarray(np.maximum(np.exp(logs) @ (_WEIGHTS / _WEIGHTS.sum()), 1e-300))


def _spread(counts: Array) -> float:
    grid = np.arange(0.5, 2.5, 0.01)
    return float(max(grid, key=lambda spread: np.log(_probabilities(counts, counts.mean(), spread)).sum()))


def _goodness(counts: Array, spread: float) -> tuple[float, int]:
    expected = _probabilities(np.arange(len(_LOG_FACTORIAL)), counts.mean(), spread)
    cuts = np.searchsorted(expected.cumsum(), (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98))
    edges = np.unique(np.concatenate(([0], cuts)))
    wanted = np.add.reduceat(expected, edges) * len(counts)
    found = np.bincount(np.searchsorted(edges, counts, side="right") - 1, minlength=len(edges))
    return float(((found - wanted) ** 2 / wanted).sum()), len(edges) - 2


def _repeats(log: Array) -> float:
    return 1 - len(np.unique(log[:, 1:3], axis=0)) / len(log)


def _exponent(log: Array) -> float:
    """By maximum likelihood over the contacts of everybody with ``ENOUGH`` events, in the order of their share."""
    pairs, events = np.unique(log[:, 1:3], axis=0, return_counts=True)
    ranked = [np.sort(events[pairs[:, 0] == who])[::-1] for who in np.unique(pairs[:, 0])]
    books = [book for book in ranked if book.sum() >= ENOUGH]

    def likelihood(exponent: float) -> float:
        return float(sum((book * np.log(chances(len(book), exponent))).sum() for book in books))

    return float(max(np.arange(0.205, 4.0, 0.01), key=likelihood))


def chances(book: int, exponent: float) -> Array:
    """Of each of ``book`` acquaintances, the closest first: a power law, cut into whole ranks."""
    edges = np.arange(1, book + 2) ** (1 - exponent)
    return np.asarray(np.diff(edges) / (edges[-1] - edges[0]))


if __name__ == "__main__":
    sys.stdout.write("\n".join(main(Path(sys.argv[1]))) + "\n")
