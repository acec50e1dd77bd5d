"""The published SMS data sets on which quality is measured. They stay outside the repository: licences differ."""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "sms"


class Sms(NamedTuple):
    """One message with its set, and the label and class that the set gives it."""

    source: str
    label: str  #: fraud, illegal, ad, ham, other
    fraud_class: str
    text: str


SETS = ("fake_base_station_zh", "telecom_fraud_scripts_zh", "spam_ham_zh", "uci_en", "nus_ham_en")


@cache
def load(folder: Path = FOLDER) -> tuple[Sms, ...]:
    """Every message of every set."""
    found = []
    for name in SETS:
        with lzma.open(folder / f"{name}.jsonl.xz") as file:
            for line in file:
                row = msgspec.json.decode(line)
                found.append(Sms(name, row["label"], row["class"], row["text"]))
    return tuple(found)


def is_fraud(sms: Sms) -> bool:
    """Fraud and illegal offers."""
    return sms.label in ("fraud", "illegal")


def is_ham(sms: Sms) -> bool:
    """Wanted messages."""
    return sms.label == "ham"


def texts(folder: Path, wanted: Callable[[Sms], bool]) -> Iterator[str]:
    """The texts of the messages that are wanted."""
    return (sms.text for sms in load(folder) if wanted(sms))
