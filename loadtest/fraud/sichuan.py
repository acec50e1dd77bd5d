"""Medians and quantiles of real fraud numbers: 4,884 subscribers of Sichuan, label 1 = fraud number.

``python -m loadtest.fraud.sichuan`` computes them anew from ``subscribers/sichuan_subscribers.csv.xz`` of the
development data (Apache-2.0, ids hashed, one month of each subscriber) and prints the table below. The data itself is
not here.

The columns are not documented by their publisher. Read as: ``voccalltype1`` outgoing calls, ``voc_calltype1`` their
share, ``voc_day_nunique`` days with a call, ``sms_count`` messages both ways, ``day_nunique`` days with one.
"""

from __future__ import annotations

import csv
import lzma
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from loadtest.real_log import data_folder

FILE: Final = Path("subscribers") / "sichuan_subscribers.csv.xz"
QUANTILES: Final = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
Row = Mapping[str, str]
Both = tuple[tuple[float, ...], tuple[float, ...]]  # quantiles of fraud numbers, of the others

#: What ``main`` prints.
FEATURES: Final[dict[str, Both]] = {
    "calls_out_a_day": ((3.09, 11.36, 31.0, 63.64, 98.38, 293.22), (1.22, 2.64, 7.26, 18.16, 35.0, 100.65)),
    "calls_out_share": ((0.47, 0.75, 0.97, 1.0, 1.0, 1.0), (0.28, 0.41, 0.52, 0.68, 1.0, 1.0)),
    "calls_a_contact": ((1.0, 1.05, 1.24, 2.35, 6.14, 16.64), (2.18, 3.8, 6.72, 10.54, 15.0, 29.14)),
    "contacts": ((17.0, 57.0, 141.0, 314.0, 772.0, 8150.4), (12.0, 27.0, 60.0, 137.0, 258.5, 706.9)),
    "talk_s_median": ((18.7, 29.0, 40.5, 54.5, 81.0, 169.65), (24.0, 29.0, 37.0, 48.0, 65.0, 171.0)),
    "talk_s_mean": ((33.29, 56.11, 91.94, 144.09, 226.52, 476.61), (41.78, 55.83, 77.5, 112.1, 170.42, 378.01)),
    "handsets": ((1.0, 1.0, 2.0, 4.0, 8.0, 26.99), (1.0, 1.0, 1.0, 2.0, 3.0, 5.09)),
    "days_active": ((2.0, 3.0, 7.0, 29.0, 31.0, 31.0), (20.0, 30.0, 31.0, 31.0, 31.0, 31.0)),
    "sms_a_day": ((7.15, 10.06, 16.08, 34.9, 89.82, 1067.55), (9.55, 18.39, 30.52, 51.02, 79.72, 164.55)),
}


def fraud(feature: str, quantile: float) -> float:
    """Of the fraud numbers; one of ``QUANTILES``."""
    return FEATURES[feature][0][QUANTILES.index(quantile)]


def _number(row: Row, column: str) -> float:
    return float(row[column]) if row[column] else float("nan")


def _a_day(count: str, days: str) -> Callable[[Row], float]:
    def per_day(row: Row) -> float:
        active = _number(row, days)
        return _number(row, count) / active if active else float("nan")

    return per_day


MEASURES: Final[dict[str, Callable[[Row], float]]] = {
    "calls_out_a_day": _a_day("voccalltype1", "voc_day_nunique"),
    "calls_out_share": lambda row: _number(row, "voc_calltype1"),
    "calls_a_contact": lambda row: _number(row, "phone2opposite_mean"),
    "contacts": lambda row: _number(row, "opposite_unique"),
    "talk_s_median": lambda row: _number(row, "call_dur_median"),
    "talk_s_mean": lambda row: _number(row, "call_dur_mean"),
    "handsets": lambda row: _number(row, "imeis"),
    "days_active": lambda row: _number(row, "voc_day_nunique"),
    "sms_a_day": _a_day("sms_count", "day_nunique"),
}


def features(rows: Iterable[Row]) -> dict[str, Both]:
    """Quantiles of every measure, of rows labelled 1 and of rows labelled 0; what is missing does not count."""
    split: dict[str, list[Row]] = {"1": [], "0": []}
    for row in rows:
        split[row["label"]].append(row)
    return {
        name: (_quantiles(map(measure, split["1"])), _quantiles(map(measure, split["0"])))
        for name, measure in MEASURES.items()
    }


def _quantiles(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(float(q), 2) for q in np.nanquantile(list(values), QUANTILES))


def read(folder: Path) -> dict[str, Both]:
    """The table from the development data in ``folder``."""
    with lzma.open(folder / FILE, "rt", encoding="utf-8", newline="") as file:
        return features(csv.DictReader(file))


def main() -> int:
    """Print the table; 1 if the data is not there."""
    folder = data_folder()
    if folder is None or not (folder / FILE).is_file():
        sys.stderr.write(f"{FILE}: not in the development data; set LANJIE_DATA to its folder\n")
        return 1
    for name, (of_fraud, of_others) in read(folder).items():
        sys.stdout.write(f'    "{name}": ({of_fraud}, {of_others}),\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
