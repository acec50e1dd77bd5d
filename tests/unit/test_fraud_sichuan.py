"""The constants taken from real fraud numbers, and that they are what the data says."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from loadtest.fraud import PATTERNS, sichuan
from loadtest.fraud.rates import COMMON, RATES
from loadtest.real_log import data_folder

COLUMNS = "voccalltype1 voc_calltype1 phone2opposite_mean opposite_unique call_dur_median call_dur_mean imeis"


def row(label, calls, days):
    values = dict.fromkeys(COLUMNS.split(), "1") | {"sms_count": "0", "day_nunique": "1", "label": label}
    return values | {"voccalltype1": calls, "voc_day_nunique": days}


def test_quantiles_by_label_without_what_is_missing():
    rows = [row("1", "10", "1"), row("1", "60", "2"), row("1", "150", "3"), row("1", "", "3"), row("1", "7", "0")]
    fraud, other = sichuan.features([*rows, row("0", "8", "2")])["calls_out_a_day"]
    # 10, 30 and 50 calls a day; linear between ranks: 0.25 -> 10 + 0.5 * 20
    assert fraud[1:4] == (20.0, 30.0, 40.0)
    assert set(other) == {4.0}


def test_constants_are_those_of_the_data():
    folder = data_folder()
    if folder is None or not (folder / sichuan.FILE).is_file():
        pytest.skip("the development data is not there")
    assert sichuan.read(folder) == sichuan.FEATURES


def test_no_data_is_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LANJIE_DATA", str(tmp_path))
    assert sichuan.main() == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_every_rate_has_a_source_and_is_used(pattern):
    folder = Path(sichuan.__file__).parent
    code = "".join((folder / name).read_text() for name in (f"{pattern}.py", "scripts.py", "crew.py"))
    for name, rate in RATES[pattern].items():
        assert rate.unit
        assert rate.source
        assert rate.value > 0
        assert re.search(rf'(rate|salvo|often)\((NAME, )?(self\.pattern, )?"{name}"', code), name


def test_every_common_rate_is_used():
    folder = Path(sichuan.__file__).parent
    code = "".join(path.read_text() for path in folder.glob("*.py"))
    assert [name for name in COMMON if not re.search(rf'rate\(([\w.]+, )?"{name}"', code)] == []


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_every_pattern_says_what_it_looks_like_and_who_says_so(pattern):
    doc = importlib.import_module(f"loadtest.fraud.{pattern}").__doc__
    assert "wire" in doc
    assert "Sources:" in doc
