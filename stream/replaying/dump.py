"""Events from the input topics to a log, in the order in which they were decided."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import zstandard
from aiokafka.errors import KafkaError

from detectors.model.errors import LanjieError
from stream import refused
from stream.replaying.recorded import READING, RecordedError, line, recorded
from stream.replaying.route import Router
from stream.settings import Settings


class DumpError(LanjieError):
    """The log cannot be written."""


class Dumped(NamedTuple):
    """What came of it.

    Attributes:
        tombstones: records without a value, of which a log can say nothing.
        elsewhere: events that were in another partition than their acting number says.
    """

    partitions: int
    events: int
    tombstones: int
    elsewhere: int


async def dump(settings: Settings, since: int, until: int, path: Path) -> Dumped:
    """Write them as JSON lines, packed with zstd.

    Args:
        since, until: ms UTC by the records' own times; the second is not included.

    Raises:
        RecordedError: the topics cannot be read.
        DumpError: the file cannot be written.
    """
    events = tombstones = elsewhere = 0
    try:
        with path.open("wb") as file, zstandard.ZstdCompressor(level=3).stream_writer(file) as out:
            stream = await recorded(settings, since, until)
            router = Router(stream.partitions)
            async for number, record in stream.records():
                if (raw := line(record)) is None:
                    tombstones += 1
                    continue
                (routed,) = router.route([raw])
                elsewhere += routed is not None and routed != number
                events += 1
                out.write(raw + b"\n")
    except (KafkaError, TimeoutError) as error:  # the second is an OSError too
        raise RecordedError(await refused.explain(settings.kafka, error, READING)) from None
    except OSError as error:
        raise DumpError(f"{path}: {error.strerror}") from None
    return Dumped(stream.partitions, events, tombstones, elsewhere)
