"""The same switch for everybody: what operations hand over gets the number forms and fields that benign traffic has.

Without it a number form, or a field that is always there or never, would tell an operation from an honest caller.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.random import Generator

from detectors.model.events import CallEvent, CardEvent, Event, SmsEvent
from loadtest.sim.population import Population
from loadtest.sim.signalling import FORM_SHARES, FORMS


class Switch:
    """For the events of one operation."""

    def __init__(self, world: Population, rng: Generator) -> None:
        self._world, self._rng = world, rng
        self._form = lru_cache(maxsize=1 << 16)(self._drawn)

    def signalled(self, event: Event) -> Event:
        """The event as the switch writes it. One caller is written to one callee in the same way all the time."""
        a, e164 = event.a_number, event.a_number if event.a_number.startswith("+") else None
        if isinstance(event, CardEvent):
            return replace(event, a_number=a.removeprefix("+86"), a_e164=e164)
        written = _written(a, self._form(a, event.b_number))
        seen: dict[str, Any] = {"a_number": written, "a_e164": e164}
        seen["b_number"] = _written(event.b_number, self._form(event.b_number, a))
        if event.cell is None and not self._elsewhere(event) and (person := self._world.person(a)) is not None:
            seen |= self._at_home(person)
        if isinstance(event, CallEvent):
            seen["presented_cli"] = written if event.presented_cli in (None, a) else event.presented_cli
            seen["network_cli"] = written if event.network_cli in (None, a) else event.network_cli
            seen["direction"] = "terminating" if seen.get("cell", event.cell) is None else "originating"
        return replace(event, **seen)

    def _elsewhere(self, event: CallEvent | SmsEvent) -> bool:
        return event.visited_plmn is not None or event.route in ("port", "international")

    def _at_home(self, person: int) -> dict[str, str]:
        """What the network knows of its own subscriber."""
        who = np.array([person])
        if not self._world.at_home[person]:
            return {}
        return {"cell": self._world.cells(self._rng, who)[0], "imei_hash": self._world.tokens(who, "imei")[0]}

    def _drawn(self, _one: str, _other: str) -> str:
        return str(self._rng.choice(FORMS, p=FORM_SHARES))


def _written(number: str, form: str) -> str:
    """Mobiles only: short numbers and other countries' have one form here."""
    return form + number[3:] if number.startswith("+861") and len(number) == 14 else number
