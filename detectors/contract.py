"""What a detector is: it looks at a batch of events and leaves evidence. It decides nothing.

A detector is pure: no clock, no I/O, no randomness; time comes with the event. It sees the batch in order,
once. It must not raise on any decodable event; if it does, ``guard.py`` keeps that from harming the other events.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import ClassVar, Final, Protocol, runtime_checkable

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from detectors.model.decision import Evidence
from detectors.model.events import CallEvent, CardEvent, Event, SmsEvent
from detectors.model.numbers import Canonical
from detectors.normalise.batch import Texts
from detectors.normalise.extract import Token, extract
from detectors.normalise.key import Keys
from detectors.normalise.marks import Marks, marks
from detectors.normalise.phone import canonicals
from detectors.rollout import NO_ROLLOUT, Rollout

LISTS_ONLY: Final = ("lists_only",)  #: what a decision says that only the number lists had looked
Kinds = frozenset[type[Event]]
SMS: Final[Kinds] = frozenset({SmsEvent})
CALLS_AND_SMS: Final[Kinds] = frozenset({CallEvent, SmsEvent})
ALL: Final[Kinds] = frozenset({CallEvent, SmsEvent, CardEvent})


class Batch:
    """Events with their canonical numbers, and the evidence that detectors leave about each.

    Attributes:
        events: in the order in which they are to be seen.
        a, b: canonical A- and B-number of each event, ``""`` where there is none.
        keys: of all A-numbers, then of all B-numbers (``normalise.key``).
        calls: ``(index, event)`` of the call events.
        sms: ``(index, event, normalised text)`` of the SMS events.
        named: position in ``sms`` -> links, numbers or ids in that text.
        tokens: ``(index, tokens)`` of the SMS events with links, numbers or ids in their text.
        repeated: indexes of events that came before: they are decided again, but nothing counts them again.
        hits: index -> evidence so far that acts; a later detector sees what earlier ones left.
        shadow: index -> evidence of rules and feeds on trial that does not act here; no detector looks at it.
        replaced: index -> evidence that has no place where all that is on trial acts.
        spare: index -> evidence of predecessors, which acts if the brake stops the rules that act in their place.
        rollout: the stages by which evidence is sorted.
        own: index -> where an event's own text is in that by which it is judged (``segments.py``).
        lists_only: nobody is to see the texts and phases, so they are left out: no ``calls``, no ``sms``.
        lacks: index -> names of the detectors that should have looked at that event, and did not.
        failures: events on which the detector that looks now raised; None where nobody guards.
    """

    __slots__ = (
        "_dialled", "_texts", "a", "b", "calls", "events", "failures", "hits", "keys", "lacks", "lists_only", "named",
        "own", "repeated", "replaced", "rollout", "shadow", "sms", "spare", "tokens",
    )  # fmt: skip

    def __init__(
        self,
        events: Sequence[Event],
        repeated: Collection[int] = frozenset(),
        rollout: Rollout = NO_ROLLOUT,
        *,
        lists_only: bool = False,
        own: Mapping[int, tuple[int, int]] | None = None,
    ) -> None:
        numbers = [e.a_e164 or e.a_number for e in events]
        numbers += ["" if type(e) is CardEvent else e.b_e164 or e.b_number for e in events]  # type: ignore[union-attr]
        both, keys = canonicals(numbers)
        seen = () if lists_only else events
        sms = [(i, e) for i, e in enumerate(seen) if type(e) is SmsEvent]
        texts = Texts([e.text for _, e in sms])
        found = ((n, extract(sms[n][1].text, texts.normalised[n])) for n in texts.with_tokens())
        self._fill(
            events=events,
            numbers=both,
            keys=keys,
            calls=[(i, e) for i, e in enumerate(seen) if type(e) is CallEvent],
            sms=[(i, e, normalised) for (i, e), normalised in zip(sms, texts.normalised, strict=True)],
            named={n: tokens for n, tokens in found if tokens},
        )
        self._texts: Texts | None = texts
        self._dialled: Marks | None = None
        self.repeated, self.rollout, self.lists_only, self.own = repeated, rollout, lists_only, own or {}

    def _fill(
        self,
        *,
        events: Sequence[Event],
        numbers: Sequence[Canonical],
        keys: Keys,
        calls: list[tuple[int, CallEvent]],
        sms: list[tuple[int, SmsEvent, str]],
        named: dict[int, tuple[Token, ...]],
    ) -> None:
        """What is known of the events before anybody looks. ``numbers``, ``keys``: of all A-numbers, then B-numbers."""
        self.events, self.keys = events, keys
        self.a, self.b = list(numbers[: len(events)]), list(numbers[len(events) :])
        self.calls, self.sms, self.named = calls, sms, named
        self.tokens: list[tuple[int, tuple[Token, ...]]] = [(sms[n][0], each) for n, each in named.items()]
        self.hits: dict[int, list[Evidence]] = {}
        self.shadow: dict[int, list[Evidence]] = {}
        self.replaced: dict[int, list[Evidence]] = {}
        self.spare: dict[int, list[Evidence]] = {}
        self.lacks: dict[int, tuple[str, ...]] = {}
        self.failures: list[Failure] | None = None

    @property
    def texts(self) -> Texts:
        """The texts of ``sms``, in the same order."""
        if self._texts is None:
            self._texts = Texts([e.text for _, e, _ in self.sms])
        return self._texts

    @property
    def dialled(self) -> Marks:
        """What a window keeps of each B-number. Of a part that was cut it is known from the whole."""
        if self._dialled is None:
            self._dialled = marks(self.keys[len(self.events) :])
        return self._dialled

    @property
    def has_cards(self) -> bool:
        """Whether there are card events; as ``lists_only`` knows no kinds, whether there is anything."""
        return len(self.events) > len(self.calls) + len(self.sms)

    @property
    def kinds(self) -> Kinds:
        """Of the events; as ``lists_only`` knows no kinds, of all sorts."""
        found = ((CallEvent, self.calls), (SmsEvent, self.sms), (CardEvent, self.has_cards))
        return frozenset(kind for kind, some in found if some)

    def add(self, index: int, evidence: Evidence) -> None:
        """Leave ``evidence`` about event ``index``."""
        evidence = self._own(index, evidence)
        if evidence.code in self.rollout.rules:
            self._try(index, evidence)
        else:
            self.hits.setdefault(index, []).append(evidence)

    def _own(self, index: int, evidence: Evidence) -> Evidence:
        """With the part of its span that is in the event's own text; none if there is none."""
        if index not in self.own or evidence.span is None:
            return evidence
        start, end = self.own[index]
        first, last = max(evidence.span[0], start), min(evidence.span[1], end)
        return replace(evidence, span=(first - start, last - start) if first < last else None)

    def hold(self, index: int, evidence: Evidence | None, instead_of: Evidence | None) -> None:
        """Where all that is on trial acts, there would be ``evidence`` in the place of ``instead_of``."""
        if evidence is not None:
            self.shadow.setdefault(index, []).append(self._own(index, evidence))
        if instead_of is not None:
            if index in self.own:  # the very one that was left, whose span may have been cut
                cut = self._own(index, instead_of)
                instead_of = next((each for each in self.hits.get(index, ()) if each == cut), cut)
            self.replaced.setdefault(index, []).append(instead_of)

    def stop(self, rule: str, rollout: Rollout) -> None:
        """By these stages the rule acts on nobody any more; its predecessor does."""
        self.rollout = rollout
        hits, self.hits = self.hits, {}
        for index, found in hits.items():
            stopped = [e for e in found if e.code == rule and rollout.is_about(rule, e.version)]
            if len(stopped) < len(found):
                self.hits[index] = [e for e in found if e not in stopped]
            if stopped:
                self.shadow.setdefault(index, []).extend(stopped)
        for index, found in self.spare.items():
            for e in found:
                if e.code == rule:
                    self._try(index, e)
            self.spare[index] = [e for e in found if e.code != rule]

    def take_back(self, index: int, codes: Collection[str]) -> None:
        """Nothing with one of these codes was seen about event ``index``."""
        for found in (self.hits, self.shadow):
            if rest := [e for e in found.pop(index, ()) if e.code not in codes]:
                found[index] = rest

    def look_again(self, codes: Collection[str], rollout: Rollout, look: Callable[[Batch], None]) -> None:
        """By these stages ``look`` finds something else: what has one of these codes is sorted anew."""
        before = self.hits, self.shadow, self.replaced, self.spare
        self.rollout, self.hits, self.shadow, self.replaced, self.spare = rollout, {}, {}, {}, {}
        look(self)
        for found, old in zip((self.hits, self.shadow, self.replaced, self.spare), before, strict=True):
            for index, evidence in old.items():
                if rest := [e for e in evidence if e.code not in codes]:
                    found.setdefault(index, []).extend(rest)

    def failed(self, index: int, error: Exception) -> None:
        """The detector that looks now raised ``error`` on event ``index``, and goes on with the next.

        Raises:
            Exception: that one, where nobody guards.
        """
        if self.failures is None:
            raise error
        self.failures.append((index, error))

    def lack(self, index: int, name: str) -> None:
        """The detector of this name did not look at event ``index``."""
        others = self.lacks.get(index, ())
        if name not in others:
            self.lacks[index] = (*others, name)

    def degraded(self, index: int) -> tuple[str, ...]:
        """What the decision about event ``index`` says it is made without."""
        return (*(LISTS_ONLY if self.lists_only else ()), *self.lacks.get(index, ()))

    def part(self, start: int, end: int) -> Batch:
        """Some of the events, with no evidence, for a detector that counts nothing."""
        own = {i - start: each for i, each in self.own.items() if start <= i < end}
        return type(self)(self.events[start:end], rollout=self.rollout, lists_only=self.lists_only, own=own)

    def take(self, part: Batch, start: int) -> None:
        """Take over the evidence about a part that begins at ``start``."""
        for found, more in zip(self._found(), part._found(), strict=True):
            for index, evidence in more.items():
                found.setdefault(start + index, []).extend(evidence)

    def cut(self, sizes: Iterable[int]) -> list[Batch]:
        """It in parts, in order, each with what was found about its events."""
        ends = list(accumulate(sizes))
        return [self._cut(start, end) for start, end in zip([0, *ends], ends, strict=False)]

    def _cut(self, start: int, end: int) -> Batch:
        part, count = object.__new__(type(self)), len(self.events)
        calls, calls_end = (bisect_left(self.calls, at, key=itemgetter(0)) for at in (start, end))
        sms, sms_end = (bisect_left(self.sms, at, key=itemgetter(0)) for at in (start, end))
        part._fill(
            events=self.events[start:end],
            numbers=self.a[start:end] + self.b[start:end],
            keys=np.concatenate((self.keys[start:end], self.keys[count + start : count + end])),
            calls=[(i - start, e) for i, e in self.calls[calls:calls_end]],
            sms=[(i - start, e, normalised) for i, e, normalised in self.sms[sms:sms_end]],
            named={n - sms: tokens for n, tokens in self.named.items() if sms <= n < sms_end},
        )
        part._texts, part.repeated, part.rollout, part.lists_only = None, frozenset(), self.rollout, self.lists_only
        part.own = {i - start: each for i, each in self.own.items() if start <= i < end}
        lasts, bits = self.dialled
        part._dialled = lasts[start:end], bits[start:end]
        for found, all_found in zip(part._found(), self._found(), strict=True):
            found.update({i - start: each for i, each in all_found.items() if start <= i < end})
        part.lacks = {i - start: names for i, names in self.lacks.items() if start <= i < end}
        return part

    def drop(self, codes: Collection[str]) -> None:
        """Nothing with one of these codes was seen about any event."""
        for found in self._found():
            for index in list(found):
                found[index] = [e for e in found[index] if e.code not in codes]
                if not found[index]:
                    del found[index]

    def _found(self) -> tuple[dict[int, list[Evidence]], ...]:
        return self.hits, self.shadow, self.replaced, self.spare

    def _try(self, index: int, evidence: Evidence) -> None:
        """A rule on trial: where it acts its predecessor does not, and the other way round."""
        acts = self.rollout.rule_acts(evidence.code, self.a[index])
        if self.rollout.is_about(evidence.code, evidence.version):
            (self.hits if acts else self.shadow).setdefault(index, []).append(evidence)
        elif acts:
            self.spare.setdefault(index, []).append(evidence)
        else:
            self.hits.setdefault(index, []).append(evidence)
            self.replaced.setdefault(index, []).append(evidence)


Failure = tuple[int, Exception]  # index of the event


class Detector(Protocol):
    """One family of signs.

    Attributes:
        name: in metrics and in ``Decision.degraded``.
        sees: the kinds of events that it looks at.
        counts: it remembers what it saw, so it must not look twice. On an event on which it raises it goes on with the
            next: ``batch.failed``.
        CODES: of the built-in signs among ``codes``.
    """

    name: ClassVar[str]
    sees: ClassVar[Kinds] = ALL
    counts: ClassVar[bool] = False
    CODES: ClassVar[frozenset[str]] = frozenset()

    @property
    def codes(self) -> Collection[str]:
        """Of all the evidence that it may leave."""
        return self.CODES

    def seen(self, batch: Batch) -> list[int]:
        """The events that it looks at: those of its kinds."""
        return [i for i, event in enumerate(batch.events) if type(event) in self.sees]

    def inspect(self, batch: Batch) -> None:
        """Look at every event of ``batch`` and ``batch.add`` what was seen."""


class NearMiss(Struct, frozen=True):
    """What nearly fired: ``lacks`` says by how little, without a number or message text in clear."""

    code: str
    rule: str
    version: str
    lacks: str


@runtime_checkable
class ShowsNearMisses(Protocol):
    """A detector that can say what nearly fired. Asked only to explain, never on the hot path."""

    def near(self, batch: Batch) -> Iterable[NearMiss]:
        """What nearly fired for the one event of ``batch``, after ``inspect``."""
