"""The committed constants are those that the data gives, where it is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loadtest.real_log import data_folder
from loadtest.sim import fitted
from loadtest.sim.fit import chances, main


def test_constants_are_those_of_the_data():
    if (data := data_folder()) is None:
        pytest.skip("needs the development data (loadtest/README.md)")
    committed = Path(fitted.__file__).read_text(encoding="utf-8")
    assert "\n".join(main(data / "call_logs")) in committed


def test_chances_are_those_of_the_law():
    """By hand, exponent 2: the weights of the ranks are 1/1 - 1/2, 1/2 - 1/3, 1/3 - 1/4; together 3/4."""
    assert chances(3, 2.0) == pytest.approx([2 / 3, 2 / 9, 1 / 9])


def test_what_is_fitted_is_found_again(tmp_path):
    """A log drawn from known constants gives them back: of 400 people."""
    rng = np.random.default_rng(2)
    rates = 20 * np.exp(1.0 * rng.standard_normal(400) - 0.5)
    rows = [
        (who, 1_000 + rng.choice(5, p=chances(5, 2.0))) for who, n in enumerate(rng.poisson(rates)) for _ in range(n)
    ]
    seconds = rng.integers(14 * 86_400, size=len(rows))
    lengths = np.where(rng.random(len(rows)) < 0.3, 3.0, 60.0) * np.exp(0.4 * rng.standard_normal(len(rows)))
    calls = [f"{t},{a},{b},{max(1, round(d))}" for t, (a, b), d in zip(seconds, rows, lengths, strict=True)]
    (tmp_path / "copenhagen_calls.csv").write_text("timestamp,from,to,duration\n" + "\n".join(calls) + "\n")
    sms = [line.rsplit(",", 1)[0] for line in calls]
    (tmp_path / "copenhagen_sms.csv").write_text("timestamp,from,to\n" + "\n".join(sms) + "\n")
    found = {}
    exec("from typing import Final\n" + "\n".join(main(tmp_path)), found)  # noqa: S102 - it is a module's text
    (short, first, _), (long, second, _) = found["TALK"]
    assert (short, long) == (pytest.approx(0.3, abs=0.02), pytest.approx(0.7, abs=0.02))
    assert (first, second) == (pytest.approx(3, rel=0.1), pytest.approx(60, rel=0.05))
    assert found["CALL_SPREAD"] == pytest.approx(1.0, abs=0.12)
    assert found["CALL_REPEAT"] == pytest.approx(2.0, abs=0.15)
    assert max(found["CALL_HOURS"]) < 1.2 / 24
    assert found["ANSWERED"] == 1.0
