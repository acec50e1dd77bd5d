"""What is large, on the local disk: number tables to be mapped, rule packs to be compiled, both named by their digest.

``<data_dir>/contents/<digest>``: a table; ``<digest>.pack/``: the files of a pack. The workers of a machine may share
the folder: a file appears whole, and one name never means two things.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from detectors.lists.table import Table
from detectors.model.errors import NumberListError, RuleError
from stream.number_files import open_table
from stream.settings import Settings
from stream.topics import CONTENTS
from stream.updates import contents
from stream.updates.aside import aside
from stream.updates.contents import ContentError
from stream.updates.records import Content
from stream.whole_file import write_whole

#: Seconds that a file nobody refers to is kept: another worker of this machine may be about to.
KEPT: Final = 3600.0
LONGEST: Final = 100  # characters of a file name in a pack


class Library:
    """Fetches what is not there yet."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.data_dir / "contents"
        self._tables: dict[str, Table] = {}

    async def table(self, content: Content) -> Table:
        """The number table of a feed, mapped.

        Raises:
            ContentError, TailError: it cannot be fetched.
            NumberListError: it is no table.
        """
        if (known := self._tables.get(content.digest)) is not None:
            return known
        path = self._folder / content.digest
        try:
            found = await aside(open_table, path)
        except NumberListError:  # not there, or damaged
            data = await self._fetch(content)
            try:
                await aside(self._write, path, data)
            except OSError as error:
                raise ContentError(f"{path}: {error.strerror}") from None
            found = await aside(open_table, path)
        self._tables[content.digest] = found
        return found

    async def pack(self, content: Content) -> Path:
        """The folder of a rule pack.

        Raises:
            ContentError, TailError: it cannot be fetched.
            RuleError: it is no pack.
        """
        path = self._folder / f"{content.digest}.pack"
        if not path.is_dir():
            files = unbundle(await self._fetch(content))
            try:
                await aside(self._write_folder, path, files)
            except OSError as error:
                raise ContentError(f"{path}: {error.strerror}") from None
        return path

    def keep_only(self, digests: Collection[str], now: float) -> None:
        """Forget tables that are not named, and remove files that are not and that nobody touched for an hour.

        Args:
            now: seconds since 1970.
        """
        for digest in self._tables.keys() - set(digests):
            del self._tables[digest]  # who still looks into it keeps it mapped
        for path in [*self._folder.glob("*"), *self._folder.glob(".*")]:
            with suppress(OSError):  # another worker of this machine may be at it, or own it
                if path.name.removesuffix(".pack") in digests:
                    os.utime(path)
                elif path.stat().st_mtime < now - KEPT:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    async def _fetch(self, content: Content) -> bytes:
        name = self._settings.topic_prefix + CONTENTS.name
        return await contents.fetch(self._settings.kafka, name, content)

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, [data], sync=False)  # open_table() tells if a crash cut it short

    def _write_folder(self, path: Path, files: Mapping[str, bytes]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=self._folder, prefix=f".{path.name}."))
        for name, data in files.items():
            (made / name).parent.mkdir(exist_ok=True)
            (made / name).write_bytes(data)
        try:
            made.replace(path)
        except OSError:  # another worker of this machine was faster
            shutil.rmtree(made, ignore_errors=True)


def bundle(files: Mapping[str, bytes]) -> bytes:
    """The files of a rule pack as one blob; the same files give the same bytes.

    Raises:
        RuleError: one is not UTF-8.
    """
    if wrong := next((name for name, data in files.items() if not _is_text(data)), None):
        raise RuleError(f"{wrong}: not UTF-8; a rule pack is text, take other files out of its folder")
    return msgspec.json.encode({name: data.decode() for name, data in sorted(files.items())})


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def unbundle(data: bytes) -> dict[str, bytes]:
    """The files of a pack.

    Raises:
        RuleError: it is no such blob, or a name in it leads out of its folder.
    """
    try:
        files = msgspec.json.decode(data, type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise RuleError("rule pack: not an object of file names and texts") from None
    for name in files:
        parts = name.split("/")
        if (
            len(parts) > 2
            or len(name) > LONGEST
            or any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts)
        ):
            raise RuleError(f"rule pack: file name {name[:40]!r}; expected NAME or FOLDER/NAME")
        if len(parts) > 1 and parts[0] in files:
            raise RuleError(f"rule pack: {parts[0]!r} is a file and a folder")
    return {name: text.encode() for name, text in files.items()}
