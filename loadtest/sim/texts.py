"""What people and honest senders write: the templates of ``texts.toml``, their slots drawn anew for every message."""

from __future__ import annotations

import re
import tomllib
from itertools import product
from pathlib import Path
from typing import Any, Final, Literal

from numpy.random import Generator

Kind = Literal["personal", "asks_code", "codes", "school", "greetings"]
Parts = tuple[str | tuple[str, ...], ...]

_SLOT: Final = re.compile(r"\{(\w+)\}")
_FAMILIES: Final = "王李张刘陈杨黄周吴徐孙胡朱高林何郭罗谭彭"
_GIVEN: Final = ("伟", "敏", "静", "磊", "洋", "艳", "勇", "杰", "娟", "涛", "明", "霞", "平", "刚", "婷", "小红")
_DAYS: Final = ("今天", "明天", "后天", "周六", "周日", "下周一")


def _counted() -> dict[str, tuple[str, ...]]:
    """Slots that are too long to write down."""
    return {
        "name": tuple(map("".join, product(_FAMILIES, _GIVEN))),
        "when": tuple(f"{day}{hour}点{half}" for day, hour, half in product(_DAYS, range(7, 22), ("", "半"))),
        "sum": tuple(map(str, (*range(15, 100, 5), *range(100, 1000, 50), *range(1000, 6000, 500)))),
        "d": tuple(map(str, range(1, 31))),
        "code": tuple(str(100_000 + n * 7919 % 900_000) for n in range(5_000)),
        "tail": tuple(f"{n * 37 % 10_000:04d}" for n in range(1_000)),
        "pick": tuple(f"{a}-{b}-{n * 13 % 10_000:04d}" for a, b, n in product(range(1, 9), range(1, 7), range(40))),
        "grade": tuple(f"{year}（{n}）班" for year, n in product("一二三四五六七八九", range(1, 7))),
    }


def _compiled() -> dict[str, list[Parts]]:
    """Of each kind, its templates as literal texts and slots in turn."""
    table: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    slots = {name: tuple(words) for name, words in table.pop("slots").items()} | _counted()

    def parts(template: str) -> Parts:
        return tuple(slots[piece] if i % 2 else piece for i, piece in enumerate(_SLOT.split(template)))

    return {kind: [parts(template) for template in templates] for kind, templates in table.items()}


_TEMPLATES: Final = _compiled()


def written(rng: Generator, kind: Kind, count: int) -> list[str]:
    """So many texts, each from a template and slots of its own. None needs more than one segment (70 characters)."""
    templates = _TEMPLATES[kind]
    chosen = rng.integers(len(templates), size=count).tolist()
    luck = rng.integers(1 << 62, size=count).tolist()
    return [_filled(templates[i], n) for i, n in zip(chosen, luck, strict=True)]


def _filled(parts: Parts, luck: int) -> str:
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
        else:
            luck, place = divmod(luck, len(part))
            text += part[place]
    return text
