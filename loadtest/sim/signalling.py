"""Calls and messages as a switch and an SMS centre put them: number forms, ringing, release causes.

A call is an attempt, then its answer and its end, or its end alone. Attempts that nobody answers end as well, which
the published logs leave out. What is not said to be fitted is an assumption.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from msgspec.structs import replace
from numpy.random import Generator

from detectors.model.events import CallEvent, SmsEvent
from loadtest.sim.contract import Draft
from loadtest.truth import Label

Array = np.ndarray[Any, Any]

SIMULATED: Final = "simulated"  #: ``source`` of the labels
#: How switches write a mobile number, and how often: national, with the country code, with the international prefix.
FORMS: Final = ("", "+86", "0086")
FORM_SHARES: Final = (0.85, 0.12, 0.03)
#: Milliseconds of ringing until an answer.
RING: Final = (2_000, 15_000)
CLEARED: Final = 16  #: Q.850: normal call clearing
#: Q.850: no answer, rejected, busy, no user responding; how often an attempt ends so, and after how many milliseconds.
#: As `loadtest.fraud.calls` has it: the ringing must not tell an honest caller.
UNANSWERED: Final = (19, 21, 17, 18)
UNANSWERED_SHARES: Final = (0.55, 0.20, 0.10, 0.15)
UNANSWERED_RING: Final = np.array([(25_000, 60_000), (2_000, 15_000), (0, 1_500), (0, 1_500)])


@dataclass(frozen=True, slots=True)
class Callers:
    """Who acts, column by column.

    Attributes:
        numbers: as signalled.
        e164: None for what exists only in the national network (95588, 106...).
        cells, handsets: None where the switch does not see them: calls from other networks, lines that are no mobiles.
    """

    numbers: Sequence[str]
    e164: Sequence[str | None]
    cells: Sequence[str | None]
    handsets: Sequence[str | None]
    labels: Sequence[Label]

    @property
    def columns(self) -> tuple[Sequence[Any], ...]:
        """All, in the order in which they are declared."""
        return self.numbers, self.e164, self.cells, self.handsets, self.labels


def written_forms(rng: Generator, numbers: Array) -> list[str]:
    """National mobile numbers as the switches write them."""
    forms = rng.choice(len(FORMS), len(numbers), p=FORM_SHARES).tolist()
    return [f"{FORMS[form]}{number}" for form, number in zip(forms, numbers.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How calls go, column by column: milliseconds and Q.850 causes."""

    answered: Array
    ring: Array
    talk: Array
    cause: Array


def outcomes(rng: Generator, answered: Array, talk: Array) -> Outcomes:
    """Ringing and causes for calls of which it is known whether they are answered, and how long the talk would be."""
    count = len(answered)
    why = rng.choice(len(UNANSWERED), count, p=UNANSWERED_SHARES)
    ring = np.where(answered, rng.integers(*RING, size=count), rng.integers(*UNANSWERED_RING[why].T))
    return Outcomes(answered, ring, talk, np.where(answered, CLEARED, np.array(UNANSWERED)[why]))


def calls(ids: Iterator[str], times: Array, callers: Callers, dialled: Sequence[str], went: Outcomes) -> list[Draft]:
    """The events of calls that are attempted at ``times`` (ms UTC)."""
    how = zip(went.answered.tolist(), went.ring.tolist(), went.talk.tolist(), went.cause.tolist(), strict=True)
    drafts: list[Draft] = []
    for time, a, e164, cell, handset, label, b, (picked_up, ring, talk, cause) in zip(
        times.tolist(), *callers.columns, dialled, how, strict=True
    ):
        attempt = CallEvent(
            id=next(ids), time=time, a_number=a, b_number=b, a_e164=e164, presented_cli=a, network_cli=a,
            cell=cell, imei_hash=handset, direction="terminating" if cell is None else "originating",
        )  # fmt: skip
        drafts.append(Draft(attempt, label))
        if picked_up:
            answer = replace(attempt, id=next(ids), time=time + ring, phase="answered", ring_ms=ring)
            drafts.append(Draft(answer, label))
            heard: dict[str, Any] = {"time": time + ring + talk, "talk_ms": talk}
        else:
            heard = {"time": time + ring, "ring_ms": ring, "talk_ms": 0}
        ended = replace(attempt, id=next(ids), phase="ended", release_cause=cause, **heard)
        drafts.append(Draft(ended, label))
    return drafts


def messages(
    ids: Iterator[str], times: Array, senders: Callers, receivers: Sequence[str], texts: Sequence[str]
) -> list[Draft]:
    """The events of SMS. What comes from no mobile comes in through a port."""
    return [
        Draft(
            SmsEvent(
                id=next(ids), time=time, a_number=a, b_number=b, text=text, a_e164=e164, cell=cell, imei_hash=handset,
                route="port" if e164 is None else "p2p",
            ),
            label,
        )
        for time, a, e164, cell, handset, label, b, text in zip(
            times.tolist(), *senders.columns, receivers, texts, strict=True
        )
    ]  # fmt: skip
