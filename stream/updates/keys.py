"""Ed25519 keys (RFC 8032): who changes lists and rules, and who makes a feed.

A public key is written ``ed25519:`` and the base64 of its 32 bytes. Private keys are PEM files (PKCS #8, not encrypted)
that nobody but their owner can read.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from detectors.model.errors import LanjieError

_ALGORITHM: Final = "ed25519:"
_KEY_FILE_BYTES: Final = 16 << 10


class TrustError(LanjieError):
    """The trust file or a key file cannot be used, or does not know who wants to sign."""


class Author:
    """Who makes a change: a name, and if there is one the key that proves it."""

    def __init__(self, name: str, private: Ed25519PrivateKey | None = None) -> None:
        self.name = name
        self._private = private

    @classmethod
    def read(cls, name: str, key_file: Path | None) -> Author:
        """The author with the key in a file.

        Raises:
            TrustError: it is no private key, or others can read it.
        """
        return cls(name, read_private(key_file) if key_file else None)

    @property
    def public(self) -> str | None:
        """The public key as the trust file has it."""
        return public_of(self._private) if self._private else None

    def sign(self, data: bytes) -> str:
        """The Ed25519 signature, base64.

        Raises:
            TrustError: there is no key.
        """
        if self._private is None:
            raise TrustError(f"{self.name} has no key to sign with; name its file with --key or LANJIE_KEY")
        return b64encode(self._private.sign(data)).decode()


def fits(key: str, signature: str, data: bytes) -> bool:
    """Whether a signature over ``data`` was made with the private half of ``key``; base64, in its one proper form."""
    try:
        raw = b64decode(signature, validate=True)
        public_key(key).verify(raw, data)
    except (ValueError, InvalidSignature):
        return False
    return b64encode(raw).decode() == signature


def public_of(private: Ed25519PrivateKey) -> str:
    """The public half, as it stands in the trust file."""
    raw = private.public_key().public_bytes(pem.Encoding.Raw, pem.PublicFormat.Raw)
    return _ALGORITHM + b64encode(raw).decode()


def make_key(path: Path) -> str:
    """Write a new private key to a file that only its owner can read. Returns the public key.

    Raises:
        TrustError: the file is there already, or cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    data = private.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    except FileExistsError:
        raise TrustError(f"{path}: is there already, and a key is never overwritten; choose another file") from None
    except OSError as error:
        raise TrustError(f"{path}: {error.strerror}") from None
    return public_of(private)


def read_private(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file.

    Raises:
        TrustError: it cannot be read, is no such key, or others can read it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            data = file.read(_KEY_FILE_BYTES)
    except OSError as error:
        raise TrustError(f"{path}: {error.strerror}") from None
    if mode & 0o077:
        raise TrustError(f"{path}: mode {mode:04o}: others can use this key; chmod 600 {path}")
    try:
        private = pem.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise TrustError(f"{path}: no Ed25519 private key; expected PEM (PKCS #8, not encrypted): `lanjie keys make`")
    return private


def public_key(text: str) -> Ed25519PublicKey:
    """The key that the trust file has as ``text``.

    Raises:
        ValueError: it is none.
    """
    if not text.startswith(_ALGORITHM):
        raise ValueError(f"begins otherwise; expected {_ALGORITHM} and base64: `lanjie keys make` prints it")
    try:
        return Ed25519PublicKey.from_public_bytes(b64decode(text.removeprefix(_ALGORITHM), validate=True))
    except ValueError:
        raise ValueError(f"no public key; expected base64 of 32 bytes after {_ALGORITHM}") from None
