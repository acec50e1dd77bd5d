"""A model as one file. Not a pickle: nothing in it is executed.

magic, format   "LANJIE-MODEL 1\\n"
header          4 bytes little-endian length, then JSON: parameters, and where the model comes from
weights         2**bits whole numbers of 16 bits, little-endian
digest          SHA-256 of all before it, checked whenever the file is read
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct

from detectors.model.errors import ModelError
from detectors.score.model import LIMIT, Made, Parameters, ScoreModel

MAGIC: Final = b"LANJIE-MODEL "
FORMAT: Final = 1
_HEAD: Final = MAGIC + b"%d\n" % FORMAT
_LENGTH: Final = 4
_DIGEST: Final = hashlib.sha256().digest_size
_BITS: Final = range(10, 25)
_AGAIN: Final = "train it again with `lanjie train sms`, or take another copy"


class _Header(Struct, frozen=True, forbid_unknown_fields=True):
    parameters: Parameters
    made: Made


def write(model: ScoreModel) -> bytes:
    """The file."""
    header = msgspec.json.encode(_Header(model.parameters, model.made))
    body = _HEAD + len(header).to_bytes(_LENGTH, "little") + header + model.weights.astype("<i2").tobytes()
    return body + hashlib.sha256(body).digest()


def read(buffer: bytes, where: str) -> ScoreModel:
    """The model in ``buffer``; ``where`` names it in errors.

    Raises:
        ModelError: no model, of another format, cut short, or damaged.
    """
    data = bytes(buffer)
    if not data.startswith(MAGIC):
        raise ModelError(f"{where}: begins with {data[:16]!r}; expected {_HEAD!r}, a model file; {_AGAIN}")
    if not data.startswith(_HEAD):
        found = data[len(MAGIC) : len(MAGIC) + 8].partition(b"\n")[0]
        raise ModelError(f"{where}: model format {found!r}; expected {FORMAT}; update lanjie, or {_AGAIN}")
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if len(data) < len(_HEAD) + _LENGTH + _DIGEST or hashlib.sha256(body).digest() != digest:
        raise ModelError(f"{where}: {len(data):,} bytes, cut short or damaged (SHA-256 differs); {_AGAIN}")
    start = len(_HEAD) + _LENGTH
    end = start + int.from_bytes(body[len(_HEAD) : start], "little")
    try:
        header = msgspec.json.decode(body[start:end], type=_Header)
    except msgspec.DecodeError as error:
        raise ModelError(f"{where}: header: {error}; {_AGAIN}") from None
    return ScoreModel(_weights(body[end:], header.parameters, where), header.parameters, header.made)


def _weights(data: bytes, parameters: Parameters, where: str) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    bits = parameters.bits
    if bits not in _BITS:
        raise ModelError(f"{where}: $.parameters.bits: {bits}; expected {_BITS.start} to {_BITS.stop - 1}; {_AGAIN}")
    if len(data) != 2 << bits:
        raise ModelError(f"{where}: {len(data):,} bytes of weights; expected {2 << bits:,}; {_AGAIN}")
    if not 0.0 < parameters.threshold <= 1.0:
        raise ModelError(f"{where}: $.parameters.threshold: {parameters.threshold}; expected 0 to 1; {_AGAIN}")
    weights = np.frombuffer(data, dtype="<i2").astype(np.int16)
    if (largest := int(np.abs(weights.astype(np.int32)).max())) > LIMIT:
        raise ModelError(f"{where}: a weight of size {largest}; expected at most {LIMIT}; {_AGAIN}")
    return weights
