"""When people are active and how long they talk: the fitted shape of the day and week, at hour resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.random import Generator

from loadtest.sim.fitted import CALL_HOURS, SMS_HOURS, TALK, WEEK
from loadtest.truth import DAY_MS

Array = np.ndarray[Any, Any]

HOUR_MS: Final = 3_600_000
THURSDAY: Final = 3  #: 1970-01-01, Monday being 0
#: Milliseconds. No call is longer; 0.02 % of the fitted distribution would be.
MAX_TALK: Final = 2 * HOUR_MS


class Rhythm:
    """How activity is spread over the day and week.

    Args:
        hours: share of a day's events in each hour of the local day; need not sum to 1.
        offset: of local time from UTC, ms.
        busiest_hour: what the busiest hour's share is scaled to, the others with it, on every day of the week. None:
            the hours sum to 1, and days differ as fitted.
    """

    def __init__(self, hours: Sequence[float], offset: int, *, busiest_hour: float | None = None) -> None:
        shares = np.array(hours)
        self._hours = shares / (shares.sum() if busiest_hour is None else shares.max() / busiest_hour)
        self._week = np.array(WEEK) / np.mean(WEEK) if busiest_hour is None else np.ones(len(WEEK))
        self._offset = offset

    @classmethod
    def of_calls(cls, offset: int, busiest_hour: float | None = None) -> Rhythm:
        """As fitted."""
        return cls(CALL_HOURS, offset, busiest_hour=busiest_hour)

    @classmethod
    def of_sms(cls, offset: int, busiest_hour: float | None = None) -> Rhythm:
        """As fitted."""
        return cls(SMS_HOURS, offset, busiest_hour=busiest_hour)

    def share(self, since: int, until: int) -> float:
        """Of an average day's events, the part in ``[since, until)`` (ms UTC)."""
        return float(self._steps(since, until)[1][-1])

    def moments(self, rng: Generator, count: int, *, since: int, until: int) -> Array:
        """So many milliseconds UTC in ``[since, until)``, sorted (int64)."""
        edges, sums = self._steps(since, until)
        drawn = np.interp(np.sort(rng.random(count)) * sums[-1], sums, edges)
        return np.asarray(np.minimum(drawn.astype(np.int64), max(since, until - 1)))

    def _steps(self, since: int, until: int) -> tuple[Array, Array]:
        """Where the rate changes, and the share of a day until there."""
        first = (since + self._offset) // HOUR_MS + 1
        hours = np.arange(first, (until + self._offset - 1) // HOUR_MS + 1) * HOUR_MS - self._offset
        edges = np.concatenate(([since], hours, [until]))
        local = edges[:-1] + self._offset
        rates = self._hours[local // HOUR_MS % 24] * self._week[(local // DAY_MS + THURSDAY) % 7] / HOUR_MS
        return edges, np.concatenate(([0.0], np.cumsum(rates * np.diff(edges))))


def talk_ms(rng: Generator, count: int) -> Array:
    """How long people talk: the fitted mixture of two log-normals, at least 1 ms and at most ``MAX_TALK`` (int64)."""
    shares, medians, sigmas = np.array(TALK).T
    part = rng.choice(len(shares), count, p=shares / shares.sum())
    return lognormal_ms(rng, medians[part], sigmas[part])


def lognormal_ms(rng: Generator, medians: Array, sigmas: Array | float) -> Array:
    """One duration for each median (seconds), in milliseconds (int64)."""
    seconds = medians * np.exp(sigmas * rng.standard_normal(len(medians)))
    return np.asarray(np.clip(seconds * 1000, 1, MAX_TALK).astype(np.int64))


def talk_below(seconds: float) -> float:
    """The share of calls that last less: the distribution function of ``talk_ms``."""
    return sum(w * 0.5 * math.erfc(math.log(median / seconds) / sigma / math.sqrt(2)) for w, median, sigma in TALK)
