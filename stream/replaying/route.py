"""Which shard a line of a log belongs to: the partition that its record would be in."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiokafka.partitioner import murmur2
from msgspec import Struct

#: Keys whose shard is remembered.
KNOWN: Final = 1 << 20


class _Glance(Struct, gc=False):
    """What tells the shard; all else of a line is passed over."""

    kind: str = ""
    a_number: str = ""
    msisdn: Any = ""  # of a card; in other events it is any other field
    a_e164: str | None = None


_glance = msgspec.json.Decoder(_Glance).decode


class Router:
    """Tells the shard of a line, at a third of what it costs to decode it.

    The key is the acting number as the log has it (``a_e164``, else ``a_number``), as that of a published record.
    """

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._known: dict[str, int] = {}

    def route(self, raw: bytes) -> int | None:
        """The shard; None if it is surely no event."""
        try:
            seen = _glance(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        key = seen.a_e164 or (seen.msisdn if seen.kind == "card" else seen.a_number)
        if not isinstance(key, str):
            return None
        if (shard := self._known.get(key)) is None:
            if len(self._known) >= KNOWN:
                self._known.clear()
            shard = (murmur2(key.encode("utf-8", "surrogatepass")) & 0x7FFFFFFF) % self._shards
            self._known[key] = shard
        return shard
