"""Model files of the message score on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from detectors.model.errors import ModelError
from detectors.score import ScoreModel, file
from stream.whole_file import write_whole

LARGEST: Final = 128 << 20  # bytes; a model is half a MiB


def read_model(path: Path) -> ScoreModel:
    """The model in a file.

    Raises:
        ModelError: it is missing, damaged or of another format.
    """
    try:
        with path.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from None
    if len(data) > LARGEST:
        raise ModelError(f"{path}: more than {LARGEST:,} bytes; expected a file made by `lanjie train sms`")
    return file.read(data, str(path))


def write_model(model: ScoreModel, path: Path) -> int:
    """Write a model file; it appears whole or not at all. Returns its bytes.

    Raises:
        ModelError: it cannot be written.
    """
    try:
        return write_whole(path, [file.write(model)])
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from None
