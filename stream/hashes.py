"""The same hashes of texts after a restart: what is remembered holds Python's own, which costs nothing.

By default Python draws a seed for each process, so that nobody can make texts that all hash alike. We draw one for each
deployment, keep it beside the checkpoints, and start the interpreter again with it.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from tempfile import mkstemp
from typing import Final

log = logging.getLogger(__name__)

SEED: Final = "PYTHONHASHSEED"
FILE: Final = "hash-seed"


def keep_hashes(folder: Path) -> None:
    """Go on as a process whose hashes are those of the others with this folder. Does not return if that is another.

    Where the folder cannot be used, hashes are those of this process, and no checkpoint will fit.
    """
    try:
        seed = _seed(folder)
    except (OSError, ValueError) as error:
        log.warning("%s: %s; what is counted is made again from the log at the next start", folder / FILE, error)
        return
    if os.environ.get(SEED) != seed:
        os.environ[SEED] = seed
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves, as called  # nosec B606


def _seed(folder: Path) -> str:
    """That of the folder, made if there is none.

    Raises:
        OSError: it can be neither read nor written.
        ValueError: it is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = mkstemp(dir=folder, prefix=f".{FILE}.")  # not by the process id: containers have the same
    mine = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(str(1 + int.from_bytes(os.urandom(4)) % (2**32 - 1)))
        os.link(mine, folder / FILE)  # whoever is first: all others find it there, and whole
    except FileExistsError:
        pass
    finally:
        mine.unlink()
    return str(int((folder / FILE).read_text()))
