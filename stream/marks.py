"""What the decisions topic says of its own making: the first decision of a chunk names the chunk in a header.

The decisions of a chunk follow one another in their partition, in the order of its records. So that partition tells
what of each input partition is decided, also if the commit of it was lost, and in which order the chunks of the three
inputs were taken: whoever decides them again in this order finds the same.
"""

from __future__ import annotations

from typing import Final

import msgspec
from aiokafka.structs import ConsumerRecord as Record
from msgspec import Struct

HEADER: Final = "lanjie.chunk"


class Mark(Struct, frozen=True, omit_defaults=True):
    """A chunk that was decided.

    Attributes:
        group: whose workers decided it.
        topic, first, last: its records, of the partition that the decision is in.
        count: decisions that follow, this one included. Records of the chunk without one are dead letters.
        lists_only: only number lists were looked at, and nothing was counted.
    """

    group: str
    topic: str
    first: int
    last: int
    count: int
    lists_only: bool = False


encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Mark).decode


def read(record: Record) -> Mark | None:
    """The mark that a decision carries; None if it has none, or one of another build."""
    for name, value in record.headers:
        if name == HEADER:
            try:
                return _decode(value)
            except msgspec.MsgspecError:
                return None
    return None
