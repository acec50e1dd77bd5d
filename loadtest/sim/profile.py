"""What is to be simulated: a profile in TOML, read strictly. Those shipped are in ``loadtest/profiles``."""

from __future__ import annotations

import re
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct, field

from detectors.model.errors import LanjieError

FOLDER: Final = Path(__file__).parents[1] / "profiles"
PATTERN: Final = "pattern"
_AT: Final = re.compile(r" - at `(\$[^`]*)`$")
_UNKNOWN: Final = re.compile(r"unknown field `([^`]*)`")

Share = Annotated[float, Meta(ge=0, le=1)]
Rate = Annotated[float, Meta(ge=0, le=10_000)]
Start = Annotated[datetime, Meta(tz=True)]


class ProfileError(LanjieError):
    """A profile cannot be used (where: file: $.path)."""


class _Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Trades(_Table, frozen=True, kw_only=True):
    """Hard benign callers and senders, each in so many per 1000 subscribers (``hard_benign.py``).

    Couriers and riders: 4.5 and 10 million for 1,400 million people. The others are assumptions.
    """

    courier: Rate = 3.2
    takeaway: Rate = 7.1
    property_agent: Rate = 1.0
    bank: Rate = 0.02
    hospital: Rate = 0.05
    code_sender: Rate = 0.5
    school: Rate = 0.15


class Population(_Table, frozen=True, kw_only=True):
    """Who there is.

    Attributes:
        subscribers: ordinary people with a card.
        represents: the real subscribers that they stand for; the scale is the quotient.
        home: province, as the package `phone` has it.
        home_share: of the subscribers; the others are spread over the country as its prefixes are.
    """

    subscribers: Annotated[int, Meta(ge=100, le=5_000_000)]
    represents: Annotated[int, Meta(ge=100)]
    home: str = "湖南"
    home_share: Annotated[float, Meta(ge=0.1, le=1)] = 0.9
    trades: Trades = field(default_factory=Trades)


class Benign(_Table, frozen=True, kw_only=True):
    """What they do.

    Attributes:
        calls_per_day, sms_per_day: per subscriber, all that is benign except ``greetings`` and schools: people make
            what their trades do not.
        busiest_hour: share of a day's traffic in its busiest hour, the others scaled with it, on every day of the week;
            None: as fitted.
        known_calls, known_sms: share that goes to acquaintances.
        stranger_answers: share of the calls from a stranger that are answered.
        cards_per_1000: SIM-card events per 1000 subscribers and day.
        greetings: share of the subscribers who send one text to all their acquaintances.
    """

    calls_per_day: Rate = 8.0
    sms_per_day: Rate = 8.0
    busiest_hour: Annotated[float, Meta(gt=0, le=1)] | None = None
    known_calls: Share = 0.85
    known_sms: Share = 0.95
    stranger_answers: Share = 0.35
    cards_per_1000: Rate = 1.5
    greetings: Share = 0.0


class Lists(_Table, frozen=True, kw_only=True):
    """The operator's number list at the start.

    Attributes:
        coverage: share of the operations' numbers that is on it, of those whose card was sold before the start.
        wrong: share of its entries that name an innocent subscriber.
        block, grey: entries for numbers that never appear in the log.
    """

    coverage: Share = 0.3
    wrong: Annotated[float, Meta(ge=0, le=0.5)] = 0.01
    block: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    grey: Annotated[int, Meta(ge=0, le=10_000_000)] = 0


class Profile(_Table, frozen=True, kw_only=True):
    """A profile.

    Attributes:
        start: local time with its offset from UTC, which is the offset of all rhythms.
        operations: name -> its ``pattern`` (a key of ``loadtest.fraud.PATTERNS``) and that pattern's own settings.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,40}\Z")]
    description: str
    seed: Annotated[int, Meta(ge=0, lt=2**53)]
    start: Start
    minutes: Annotated[int, Meta(ge=1, le=31 * 24 * 60)]
    population: Population
    benign: Benign = field(default_factory=Benign)
    lists: Lists = field(default_factory=Lists)
    operations: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def start_ms(self) -> int:
        """UTC."""
        return int(self.start.timestamp()) * 1000

    @property
    def end_ms(self) -> int:
        """The first millisecond after, UTC."""
        return self.start_ms + self.minutes * 60_000

    @property
    def offset_ms(self) -> int:
        """Of local time from UTC."""
        offset = self.start.utcoffset()
        return 0 if offset is None else round(offset.total_seconds() * 1000)

    @property
    def scale(self) -> float:
        """Real subscribers for each simulated one."""
        return self.population.represents / self.population.subscribers


def shipped() -> list[str]:
    """Names of the profiles that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Profile:
    """A shipped profile by its name, or any by the path of its file.

    Raises:
        ProfileError: it does not exist, or something in it cannot be used.
    """
    path = FOLDER / f"{name}.toml" if name in shipped() else Path(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(shipped())
        raise ProfileError(f"{path}: {error.strerror}; expected one of {known}, or the path of a profile") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: not TOML ({error})") from None
    return profile_of(table, str(path))


def profile_of(table: dict[str, Any], where: str = "profile") -> Profile:
    """The profile in decoded TOML.

    Raises:
        ProfileError: as ``load``.
    """
    try:
        profile = msgspec.convert(table, Profile)
    except msgspec.ValidationError as error:
        text = str(error)
        path = found[1] if (found := _AT.search(text)) else "$"
        if unknown := _UNKNOWN.search(text):
            raise ProfileError(
                f"{where}: {path}.{unknown[1]}: no setting has this name; correct or remove it"
            ) from None
        raise ProfileError(f"{where}: {path}: {_AT.sub('', text)}") from None
    for name, settings in profile.operations.items():
        if not isinstance(settings.get(PATTERN), str):
            raise ProfileError(f"{where}: $.operations.{name}.{PATTERN}: expected the name of a pattern; add it")
    return profile
