"""Fraud operations: one crime a file, each with what it looks like on the wire and who says so.

An operation sees the population through ``loadtest.sim.contract`` and yields drafts: events with their truth beside
them. It knows nothing of the rules that are to find it. Rates: ``rates.py``; ways to evade: ``adapt.py`` and
``evasion.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from numpy.random import Generator

from loadtest.fraud import (
    account_rental,
    boss,
    bulk_cards,
    customer_service,
    fake_base_station,
    gambling_sms,
    goip,
    loan,
    many_cards,
    order_brushing,
    police,
    refund,
    roaming,
    sim_box,
    sms_bombing,
    wangiri,
    woken_cards,
)
from loadtest.fraud.settings import Common, OperationError, read
from loadtest.sim.contract import Draft, Operation, World

__all__ = ["PATTERNS", "OperationError"]

S = TypeVar("S", bound=Common)
Act = Callable[[str, S, World, Generator], Iterator[Draft]]


@dataclass(frozen=True, slots=True)
class _Operation(Generic[S]):
    name: str
    settings: S
    act: Act[S]

    def drafts(self, world: World, rng: Generator) -> Iterator[Draft]:
        """All that it does."""
        return self.act(self.name, self.settings, world, rng)


def _pattern(kind: type[S], act: Act[S], *, writes: bool = True) -> Callable[[str, dict[str, Any]], Operation]:
    return lambda name, table: _Operation(name, read(name, table, kind, writes=writes), act)


#: Pattern -> what makes an operation of its name and settings, or raises OperationError.
PATTERNS: Final[dict[str, Callable[[str, dict[str, Any]], Operation]]] = {
    police.NAME: _pattern(police.Settings, police.drafts),
    customer_service.NAME: _pattern(customer_service.Settings, customer_service.drafts),
    boss.NAME: _pattern(boss.Settings, boss.drafts),
    loan.NAME: _pattern(loan.Settings, loan.drafts),
    refund.NAME: _pattern(refund.Settings, refund.drafts),
    order_brushing.NAME: _pattern(order_brushing.Settings, order_brushing.drafts),
    gambling_sms.NAME: _pattern(gambling_sms.Settings, gambling_sms.drafts),
    fake_base_station.NAME: _pattern(fake_base_station.Settings, fake_base_station.drafts),
    wangiri.NAME: _pattern(wangiri.Settings, wangiri.drafts, writes=False),
    sim_box.NAME: _pattern(sim_box.Settings, sim_box.drafts, writes=False),
    goip.NAME: _pattern(goip.Settings, goip.drafts),
    bulk_cards.NAME: _pattern(bulk_cards.Settings, bulk_cards.drafts),
    many_cards.NAME: _pattern(many_cards.Settings, many_cards.drafts),
    woken_cards.NAME: _pattern(woken_cards.Settings, woken_cards.drafts),
    roaming.NAME: _pattern(roaming.Settings, roaming.drafts),
    account_rental.NAME: _pattern(account_rental.Settings, account_rental.drafts),
    sms_bombing.NAME: _pattern(sms_bombing.Settings, sms_bombing.drafts, writes=False),
}
