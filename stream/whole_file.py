"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, pieces: Iterable[bytes | memoryview], mode: int = 0o644, *, sync: bool = True) -> int:
    """Write a file beside ``path`` and put it in its place; who has the old one open keeps it. Returns its bytes.

    Args:
        sync: wait until the disk has it. Not for what can be had again: the flush holds up all who write there.

    Raises:
        OSError: it cannot be written; ``path`` is as it was.
    """
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as out:
            temporary = Path(out.name)
            for piece in pieces:
                out.write(piece)
            out.flush()
            if sync:
                os.fsync(out.fileno())
        temporary.chmod(mode)  # by default other users' workers read it
        temporary.replace(path)
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
        raise
    return path.stat().st_size
