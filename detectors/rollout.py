"""Which rules and list feeds act, and on whom: shadow, canary, enforce; and how much each may do.

    shadow    it is computed and recorded beside the decision, and changes nothing
    canary    it acts on a stable share of subjects: those below the share by a hash salted with its name, so that a
              greater share holds all of a smaller one, and it is not always the same people who are tried on
    enforce   it acts on all

A rule whose definition changed may have its predecessor in the pack: that one acts wherever the new one does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b, sha256
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

Mode = Literal["shadow", "canary", "enforce"]
Share = Annotated[float, Meta(ge=0, le=1)]


class Cap(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a rule or feed may do before it demotes itself to shadow. A measure counts against it if without it, and
    all others that have a cap, the decision would have been weaker. None: no such limit.

    Attributes:
        per_minute: measures within any 60 s, over all workers.
        share: of the events decided in those 60 s, once there are 1,000 of them.
        appeals: against it that were upheld, within 30 days.
    """

    per_minute: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    share: Annotated[float, Meta(gt=0, le=1)] | None = None
    appeals: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class Stage(Struct, frozen=True, omit_defaults=True):
    """How far a rule or a feed has come.

    Attributes:
        mode: see above.
        share: of subjects, for ``canary``.
        version: of the rule that this is about; its evidence of another version is the predecessor's. "" for any.
        cap: see ``Cap``.
        serial: of the change that set it: a newer one lifts what the brake did.
    """

    mode: Mode
    share: Share = 0.0
    version: str = ""
    cap: Cap | None = None
    serial: int = 0


ENFORCED: Final = Stage("enforce")
OFF_TAG: Final = "+off"


class Rollout:
    """The stages of all rules and feeds that have one; all others are enforced. Immutable.

    Attributes:
        rules: by id (``TEXT_LOAN``, a composite, or a built-in code).
        feeds: by name.
        enforcement: whether anything acts at all: the kill switch. All is seen and counted as ever.
    """

    __slots__ = ("enforcement", "feeds", "rules")

    def __init__(
        self,
        rules: Mapping[str, Stage] = MappingProxyType({}),
        feeds: Mapping[str, Stage] = MappingProxyType({}),
        *,
        enforcement: bool = True,
    ) -> None:
        self.rules, self.feeds, self.enforcement = dict(rules), dict(feeds), enforcement

    def switched(self, *, enforcement: bool) -> Rollout:
        """The same with enforcement on or off."""
        return Rollout(self.rules, self.feeds, enforcement=enforcement)

    def rule_acts(self, rule: str, subject: str) -> bool:
        """Whether the rule acts on this subject (canonical acting number)."""
        return acts(self.rules.get(rule, ENFORCED), rule, subject)

    def feed_acts(self, feed: str, subject: str) -> bool:
        """Whether the feed (its newest content) acts on this subject."""
        return acts(self.feeds.get(feed, ENFORCED), f"feed:{feed}", subject)

    def is_about(self, rule: str, version: str) -> bool:
        """Whether the stage of a rule is about this version of it; if not, that is the predecessor."""
        stage = self.rules.get(rule)
        return stage is None or stage.version in ("", version)

    def demoted(self, name: str) -> Rollout:
        """The same with a rule, or ``feed:NAME``, in shadow."""
        if name.startswith("feed:"):
            feed = name.removeprefix("feed:")
            feeds = self.feeds | {feed: _shadow(self.feeds.get(feed, ENFORCED))}
            return Rollout(self.rules, feeds, enforcement=self.enforcement)
        rules = self.rules | {name: _shadow(self.rules.get(name, ENFORCED))}
        return Rollout(rules, self.feeds, enforcement=self.enforcement)

    def caps(self) -> dict[str, Cap]:
        """The caps by rule id or ``feed:NAME``."""
        named = {**self.rules, **{f"feed:{feed}": stage for feed, stage in self.feeds.items()}}
        return {name: stage.cap for name, stage in named.items() if stage.cap}

    def serial(self, name: str) -> int | None:
        """The serial of the stage of a rule id or ``feed:NAME``; None without a stage."""
        feed = name.removeprefix("feed:")
        stage = self.feeds.get(feed) if feed != name else self.rules.get(name)
        return stage.serial if stage else None

    def rules_tag(self) -> str:
        """Goes behind the version of the rules: the same stages give the same tag, none gives "". While enforcement is
        off it ends in ``OFF_TAG``.
        """
        return _tag(self.rules) + ("" if self.enforcement else OFF_TAG)

    def feeds_tag(self) -> str:
        """Goes behind the version of the lists."""
        return _tag(self.feeds)


NO_ROLLOUT: Final = Rollout()


def acts(stage: Stage, salt: str, subject: str) -> bool:
    """Whether what is in this stage acts on a subject. An unknown subject ("" or withheld) is in no canary."""
    if stage.mode == "canary":
        return subject != "" and _position(salt, subject) < stage.share
    return stage.mode == "enforce"


@lru_cache(maxsize=1 << 16)
def _position(salt: str, subject: str) -> float:
    """In [0, 1), the same for ever and on every machine."""
    return int.from_bytes(blake2b(f"{salt}\0{subject}".encode(), digest_size=8).digest()) / 2**64


def _shadow(stage: Stage) -> Stage:
    return Stage("shadow", version=stage.version, cap=stage.cap, serial=stage.serial)


def _tag(stages: Mapping[str, Stage]) -> str:
    """Only what changes decisions goes in: mode, share of a canary and version, not who set it and when."""
    shown = {
        name: (s.mode, s.share if s.mode == "canary" else 0.0, s.version)
        for name, s in sorted(stages.items())
        if s.mode != "enforce"
    }
    return f"+{sha256(msgspec.json.encode(shown)).hexdigest()[:8]}" if shown else ""
