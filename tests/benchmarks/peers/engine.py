"""The engine that the Python peers share with the worker, with the same lists mapped and the same rules."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from detectors.engine import Engine, Snapshot
from detectors.rulepack import load_rules
from stream.number_files import load_index
from stream.settings import ListFile


def engine(lists: str) -> Engine:
    """As a worker has it. What lives for ever is kept from the garbage collector, as a worker does."""
    index = load_index([ListFile(Path(lists))], lambda _, error: sys.exit(str(error)))
    made = Engine(Snapshot.build(load_rules(), index))
    gc.collect()
    gc.freeze()
    return made
