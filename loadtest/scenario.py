"""Made-up incidents, labelled ``synthetic``: what no published log contains and every run should show.

All numbers are from 199 0009 xxxx, a block that the other rules of this package never use, so a scenario cannot
touch the counters of a real caller.

    robocaller   one number dials 300 different people in ten minutes         -> behaviour windows
    listed       numbers on the block and the grey list call                  -> number lists
    emergency    a blocked number dials 110; 110 itself is "blocked" by a line that is refused    -> goes through
    cards        a SIM card is sold in bulk, sleeps, wakes abroad             -> decided, no life-cycle rules yet
"""

from __future__ import annotations

from collections.abc import Iterator

from detectors.model.events import CallEvent, CardEvent, Event
from loadtest.truth import LIST_HEADER, SYNTHETIC, Label

ROBOCALLER = "+8619900090001"
BLOCKED = "+8619900090002"
GREY = "+8619900090003"
CARDS = tuple(f"+86199000901{n:02d}" for n in range(4))
ROBOCALLS = 300
WINDOW_MS = 600_000

Labelled = tuple[Event, Label]


def scenario(start: int) -> Iterator[Labelled]:
    """The incidents, from ``start`` (ms UTC) on, in no particular order."""
    yield from _robocaller(start)
    yield from _listed(start + 900_000)
    yield from _cards(start + 1_800_000)


def lists(added: str, expires: str) -> str:
    """The operator's own list for these incidents, as CSV with its header."""
    rows = [
        (BLOCKED, "block", "100", "confirmed by the anti-fraud centre"),
        (GREY, "grey", "35", "complaints under review"),
        ("110", "protected", "", "emergency"),
        ("119", "protected", "", "emergency"),
        ("120", "protected", "", "emergency"),
        ("12381", "protected", "", "regulator"),
        ("96110", "protected", "", "anti-fraud centre"),
        ("10086", "protected", "", "operator service line"),
        ("110", "block", "200", "a mistake that must have no effect"),
    ]
    return "\n".join([LIST_HEADER, *(f"{','.join(row)},operator-demo,{added},{expires}" for row in rows), ""])


def _robocaller(start: int) -> Iterator[Labelled]:
    for n in range(ROBOCALLS):
        call = CallEvent(
            id=f"syn-robo-{n:03d}",
            time=start + n * WINDOW_MS // ROBOCALLS,
            a_number=ROBOCALLER,
            b_number=f"+861990000{n:04d}",
            presented_cli=ROBOCALLER,
        )
        yield call, Label("fraud", "robocaller", SYNTHETIC)


def _listed(start: int) -> Iterator[Labelled]:
    calls = [
        ("blocked", BLOCKED, "+8619900000001", "fraud", "listed"),
        ("grey", GREY, "+8619900000002", "other", "grey-listed"),
        ("callback", "+8619900000001", BLOCKED, "other", "callback"),
        ("to-110", BLOCKED, "110", "ham", "emergency"),
        ("to-0731110", BLOCKED, "0731110", "ham", "emergency"),
        ("from-110", "110", "+8619900000003", "ham", "emergency"),
    ]
    for n, (name, a, b, label, cls) in enumerate(calls):
        call = CallEvent(id=f"syn-list-{name}", time=start + n * 10_000, a_number=a, b_number=b)
        yield call, Label(label, cls, SYNTHETIC)


def _cards(start: int) -> Iterator[Labelled]:
    for n, number in enumerate(CARDS):
        for step, phase in enumerate(("sold", "activated", "dormant", "woke", "roamed")):
            card = CardEvent(
                id=f"syn-card-{n}-{phase}",
                time=start + (step * len(CARDS) + n) * 60_000,
                a_number=number,
                phase=phase,  # type: ignore[arg-type]  # a literal tuple, which mypy widens to str
                identity_hash="synthetic-identity",
                agent_id="synthetic-agent",
                channel="online",
                visited_plmn="45606" if phase == "roamed" else None,
            )
            yield card, Label("other", "card", SYNTHETIC)
