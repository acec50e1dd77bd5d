"""Scores and percentiles; every expected value is worked out by hand beside it."""

from __future__ import annotations

import pytest

from loadtest.score import percentile, predicted_positive, score, wilson
from loadtest.truth import Label


def labelled(*rows):
    """(id, label, source, action) rows to the two arguments of score()."""
    return {key: action for key, _, _, action in rows}, {key: Label(label, "c", src) for key, label, src, _ in rows}


ROWS = [
    ("1", "fraud", "a", "block"),  # true positive
    ("2", "illegal", "a", "warn"),  # true positive: warn is the lowest that counts
    ("3", "fraud", "a", "label"),  # missed: a label is not felt
    ("4", "ad", "a", "delay"),  # false alarm: advertising is not fraud
    ("5", "ham", "b", "allow"),
    ("6", "other", "b", "label"),
    ("7", "fraud", "synthetic", "allow"),  # not in the headline
]


def test_precision_and_recall():
    overall = score(*labelled(*ROWS)).overall
    assert (overall.tp, overall.fp, overall.fn, overall.tn) == (2, 1, 1, 2)
    assert overall.precision == pytest.approx(2 / 3)
    assert overall.recall == pytest.approx(2 / 3)
    assert overall.report()["false_alarm_rate"] == pytest.approx(1 / 3, abs=1e-4)


def test_by_source_and_class():
    scores = score(*labelled(*ROWS))
    assert scores.over == "real events"
    assert {name: (s.tp, s.fp, s.fn, s.tn) for name, s in scores.by_source.items()} == {
        "a": (2, 1, 1, 0),
        "b": (0, 0, 0, 2),
        "synthetic": (0, 0, 1, 0),
    }
    assert scores.by_class["a", "fraud", "c"].recall == 0.5


def test_nothing_to_divide_by_is_none_and_not_zero():
    report = score(*labelled(("1", "ham", "a", "allow"))).overall.report()
    assert report["precision"] is None
    assert report["recall"] is None
    assert report["precision_95"] is None


def test_events_without_a_label_do_not_count():
    assert score({"unknown": "block"}, {}).overall.report()["events"] == 0


def test_a_log_of_synthetic_events_only_says_so():
    scores = score(*labelled(("1", "fraud", "synthetic", "block")))
    assert (scores.over, scores.overall.tp) == ("synthetic events", 1)


@pytest.mark.parametrize(
    ("action", "felt"),
    [("allow", False), ("label", False), ("warn", True), ("challenge", True), ("delay", True), ("block", True)],
)
def test_from_warn_on_a_measure_is_felt(action, felt):
    assert predicted_positive(action) is felt


@pytest.mark.parametrize(
    ("hits", "total", "interval"),
    [
        # z2 = 3.8415; n = 10, p = 0.5: centre 0.5, half = 1.96 * sqrt(0.025 + 0.0096) / 1.38415 = 0.2634
        (5, 10, [0.2366, 0.7634]),
        # p = 0: from 0 to z2 / (n + z2) = 3.8415 / 13.8415
        (0, 10, [0.0, 0.2775]),
        # p = 1: from n / (n + z2) = 10 / 13.8415 to 1
        (10, 10, [0.7225, 1.0]),
        (0, 0, None),
    ],
)
def test_wilson(hits, total, interval):
    assert wilson(hits, total) == (interval and pytest.approx(interval, abs=1e-4))


@pytest.mark.parametrize(
    ("percent", "value"),
    [(50, 50), (99, 99), (99.9, 100), (100, 100), (0, 1), (1, 1), (1.5, 2)],
)
def test_percentile_is_by_nearest_rank(percent, value):
    assert percentile(range(1, 101), percent) == value


def test_percentile_of_few_and_none():
    assert percentile([7], 99.9) == 7
    assert percentile([], 50) is None
