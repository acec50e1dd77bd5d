"""A shard's memory as a file: a line that says what it is, then the memory itself.

Whoever can write to the folder decides what is loaded from it, so keep it as you keep the program; all the same nothing
but our own memory is made of what is there.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import logging
import pickle
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from detectors.registry import Memory
from stream.whole_file import write_whole

log = logging.getLogger(__name__)

_PROBE: Final = "lanjie"  #: its hash tells whether hashes are the same
_MODULES: Final = "detectors."


class Checkpoint(NamedTuple):
    """What was counted in a shard by some moment.

    Attributes:
        decided: input topic -> offset that is decided next.
        end: offset after the last decision of all that was counted.
    """

    memory: Memory
    decided: dict[str, int]
    end: int


class _Head(Struct, frozen=True):
    """``fits``: what it was made with. Where that is another, it cannot be used."""

    fits: str
    decided: dict[str, int]
    end: int
    digest: str  #: of what follows


def write(path: Path, checkpoint: Checkpoint, fits: str) -> None:
    """Put it in the place of the one before.

    Raises:
        OSError: it cannot be written; the one before stays.
    """
    body = pickle.dumps(checkpoint.memory, protocol=5)
    head = _Head(fits + _made_with(), checkpoint.decided, checkpoint.end, hashlib.sha256(body).hexdigest())
    write_whole(path, [msgspec.json.encode(head), b"\n", body], 0o600, sync=False)


def read(path: Path, fits: str) -> Checkpoint | None:
    """The checkpoint there; None if there is none that can be used."""
    try:
        first, _, body = path.read_bytes().partition(b"\n")
        head = msgspec.json.decode(first, type=_Head)
        if head.fits != fits + _made_with() or hashlib.sha256(body).hexdigest() != head.digest:
            log.info("%s: made by another build or damaged; what was counted is made again from the log", path)
            return None
        memory = _Ours(io.BytesIO(body)).load()
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 - the log tells the same, only slower
        log.warning("%s: %s; what was counted is made again from the log", path, type(error).__name__)
        return None
    return Checkpoint(memory, head.decided, head.end) if isinstance(memory, Memory) else None


class _Ours(pickle.Unpickler):
    """Knows the classes of ``detectors`` and no others."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if module.startswith(_MODULES) and "." not in name else None
        if not isinstance(found, type) and (module, name) != ("builtins", "bytearray"):
            raise pickle.UnpicklingError(f"{module}.{name}")
        return found or bytearray


@lru_cache(1)
def _made_with() -> str:
    """Python, hashes, and the source of all that is remembered."""
    sources = sorted({inspect.getsource(sys.modules[module]) for module in _remembering()})
    code = hashlib.sha256("".join(sources).encode()).hexdigest()[:16]
    return f"/{sys.version_info.major}.{sys.version_info.minor}/{hash(_PROBE)}/{code}"


def _remembering() -> list[str]:
    import detectors.behaviour.window  # noqa: F401, PLC0415 - with the other families, by the registry

    return [
        name
        for name in list(sys.modules)
        if name in ("detectors.registry", "detectors.segments", "detectors.spans", "detectors.simcard.facts")
        or name.startswith(("detectors.behaviour.", "detectors.campaign."))
    ]
