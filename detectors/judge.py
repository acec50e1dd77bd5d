"""From the evidence about one event to its decision: verdict, brake, fault, switch, response, and what all on trial
would do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from detectors.behaviour import VictimWatch
from detectors.behaviour.flood import CODE as FLOOD_CODE
from detectors.behaviour.victims import CODES as VICTIM_CODES
from detectors.brake import Brake, Trip
from detectors.contract import Batch
from detectors.guard import Guard, look
from detectors.lists import NumberLists
from detectors.lists.protected import Protected
from detectors.model.decision import Action, Decision, Evidence, Response, Shadow
from detectors.model.events import KIND_OF, CallEvent, Event
from detectors.policy import Responses
from detectors.policy.policy import Verdict
from detectors.registry import ABOUT_THE_OTHER
from detectors.snapshot import Snapshot

#: The part that tells protected numbers, where a decision is made without it. It is asked whatever happened before.
PROTECTION = "protected"


class Judged(NamedTuple):
    """A decision. ``risky``: whom the event reached should be remembered as contacted by a risky number, whether or not
    a fault or the switch made another measure of it.
    """

    decision: Decision
    risky: bool


class Judge:
    """Judges event by event, and keeps what has a cap within it.

    Attributes:
        snapshot: in force; another one after the brake tripped.
        trips: what the brake stopped here.
        on_fault: kind -> the least action for an event that a fault kept from being looked at in full.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        market: str | None,
        part: float,
        guard: Guard | None = None,
        on_fault: Mapping[str, Action] | None = None,
        capped: bool = True,
    ) -> None:
        self.market, self.on_fault, self._guard, self._capped = market, dict(on_fault or {}), guard, capped
        self.brake = Brake({}, part)
        self._tripped: dict[str, int | None] = {}  # name -> serial of the stage in which it ran away
        self.trips: list[Trip] = []
        self.swap(snapshot)

    def swap(self, snapshot: Snapshot) -> None:
        """Judge by ``snapshot`` from now on.

        Raises:
            RuleError: it lacks the market; the snapshot in force stays.
        """
        self._responses = Responses(snapshot.rules, self.market) if self.market else None
        self.brake.set_caps(snapshot.rollout.caps() if self._capped else {})
        stages = snapshot.rollout
        for name, serial in list(self._tripped.items()):
            if stages.serial(name) == serial:  # nobody has decided about it since
                stages = stages.demoted(name)
            else:
                del self._tripped[name]
                self.brake.forget(name)
        self._use(snapshot if stages is snapshot.rollout else snapshot.staged(stages))

    def _use(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.lists_version, self.rules_version = snapshot.lists_version, snapshot.rules_version
        self.protected = Protected(snapshot.lists)
        stages = snapshot.rollout
        self._composites_on_trial = any(composite.id in stages.rules for composite in snapshot.rules.policy.composite)
        for name in self.brake.caps:
            stages = stages.demoted(name)
        self._lists_without = NumberLists(snapshot.lists.staged(stages))  # what is left if no feed with a cap acts

    @property
    def enforcement(self) -> bool:
        """Whether anything acts at all."""
        return self.snapshot.rollout.enforcement

    def decide(self, batch: Batch, i: int, now: int, victims: VictimWatch) -> Judged:
        """About the event at ``i``, which something was seen about, or which a detector lacks."""
        event, shadow = batch.events[i], None
        if (protected := self._touches(batch, i)) is None:
            found = taken = Verdict(Action.ALLOW, 0.0, self._verdict(batch, i).reasons)
        elif protected:
            found = taken = self._verdict(batch, i, protected=i in batch.hits)
        else:
            found, taken, shadow = self._measure(batch, i, now, victims)
        decision = Decision(
            event_id=event.id,
            kind=KIND_OF[type(event)],
            time=event.time,
            subject=batch.a[i],
            action=taken.action.wire,
            score=taken.score,
            lists=self.lists_version,
            rules=self.rules_version,
            reasons=taken.reasons,
            appeal="" if taken.action is Action.ALLOW else self.snapshot.policy.appeal,
            response=self._answer(event, taken.action),
            shadow=shadow,
            degraded=batch.degraded(i),
        )
        return Judged(decision, self._is_risky(batch, i, found))

    def _is_risky(self, batch: Batch, i: int, verdict: Verdict) -> bool:
        """Whether it is a warning at least, and more speaks for it than that the other one is a victim."""
        if verdict.action < Action.WARN:
            return False
        codes = {reason.code for reason in verdict.reasons if reason.weight > 0}
        if FLOOD_CODE in codes:  # the sender is honest as far as that goes: a warning without it?
            rest = [each for each in batch.hits.get(i, ()) if each.code != FLOOD_CODE]
            return self.snapshot.policy.judge(rest, protected=False).action >= Action.WARN
        return not codes <= ABOUT_THE_OTHER

    def _touches(self, batch: Batch, i: int) -> bool | None:
        """Whether the event touches a protected number; None where that cannot be told, so nothing may be done."""
        if self._guard is None:
            return self.protected.touches(batch.events[i])
        try:
            return self.protected.touches(batch.events[i])
        except Exception as error:  # noqa: BLE001 - the guard hears of it
            self._guard.raised(PROTECTION, error, came_through=False)
            batch.lack(i, PROTECTION)
            return None

    def _measure(self, batch: Batch, i: int, now: int, victims: VictimWatch) -> tuple[Verdict, Verdict, Shadow | None]:
        """What is found about an event that touches nobody protected, what is done about it, and what would be."""
        found = self._verdict(batch, i)
        if not self.enforcement:
            would = Shadow(found.action.wire, found.score) if found.action is not Action.ALLOW else None
            return found, Verdict(Action.ALLOW, 0.0, found.reasons), would
        if self.brake.caps:
            found = self._within_caps(batch, i, found, now, victims)
        return found, self._at_least(batch, i, found), self._shadow(batch, i, found)

    def _at_least(self, batch: Batch, i: int, verdict: Verdict) -> Verdict:
        """What is done where a fault kept a detector from looking."""
        least = self.on_fault.get(KIND_OF[type(batch.events[i])]) if i in batch.lacks else None
        return verdict if least is None else self.snapshot.policy.at_least(verdict, least)

    def _verdict(self, batch: Batch, i: int, *, protected: bool = False) -> Verdict:
        rollout, subject = batch.rollout, batch.a[i]
        acts = (lambda rule: rollout.rule_acts(rule, subject)) if self._composites_on_trial else None
        return self.snapshot.policy.judge(batch.hits.get(i, ()), protected=protected, acts=acts)

    def _shadow(self, batch: Batch, i: int, verdict: Verdict) -> Shadow | None:
        """What would be decided if all that is on trial was enforced, if that is something else."""
        if not (self._composites_on_trial or i in batch.shadow or i in batch.replaced):
            return None
        replaced = batch.replaced.get(i, ())
        evidence = [*batch.hits.get(i, ()), *batch.shadow.get(i, ())]
        other = self.snapshot.policy.judge(
            [e for e in evidence if not any(e is each for each in replaced)], protected=False
        )
        if (other.action, other.score) == (verdict.action, verdict.score) and set(other.reasons) == {*verdict.reasons}:
            return None
        would = self._at_least(batch, i, other).action
        return Shadow(would.wire, other.score, tuple(r for r in other.reasons if r not in verdict.reasons))

    def _within_caps(self, batch: Batch, i: int, verdict: Verdict, now: int, victims: VictimWatch) -> Verdict:
        """Stop what would do more than its cap until nothing does; then count the measure against what led to it."""
        while names := self._led_to(batch, i, verdict):
            over = {name: reason for name in sorted(names) if (reason := self.brake.over(name, now))}
            if not over:
                for name in names:
                    self.brake.take(name, now)
                break
            for name, reason in over.items():
                self._stop(batch, name, reason, now)
            batch.take_back(i, VICTIM_CODES)  # they may have hung on what was stopped
            a, b, time = batch.a[i], batch.b[i], batch.events[i].time
            for sign in victims.signs(a, b, time, suspicious=i in batch.hits):
                batch.add(i, sign)
            verdict = self._verdict(batch, i)
        return verdict

    def _led_to(self, batch: Batch, i: int, verdict: Verdict) -> set[str]:
        """Those with a cap that speak for a measure which without all of them would be a weaker one."""
        policy, rollout, subject = self.snapshot.policy, batch.rollout, batch.a[i]
        rest = batch.hits.get(i, [])
        names = {r.code for r in verdict.reasons if r.weight > 0 and rollout.is_about(r.code, r.version)}
        names |= {f"feed:{e.feed}" for e in rest if e.feed and policy.weigh(e) > 0}
        names = (names & self.brake.caps.keys()) - self._tripped.keys()
        if not names or verdict.action is Action.ALLOW:
            return set()
        if any(name.startswith("feed:") for name in names):
            rest = [e for e in rest if e.code not in NumberLists.CODES] + self._other_lists(batch, i)
        rest = [e for e in rest if e.code not in names or not rollout.is_about(e.code, e.version)]
        rest += [e for e in batch.spare.get(i, ()) if e.code in names]
        without = policy.judge(
            rest, protected=False, acts=lambda rule: rule not in names and rollout.rule_acts(rule, subject)
        )
        return names if without.action < verdict.action else set()

    def _stop(self, batch: Batch, name: str, reason: str, now: int) -> None:
        """Put what has run away into shadow, from this very event on."""
        serial = self._tripped[name] = self.snapshot.rollout.serial(name)
        self.trips.append(Trip(name, serial or 0, reason, now))
        self._use(self.snapshot.staged(self.snapshot.rollout.demoted(name)))
        if name.startswith("feed:"):
            batch.look_again(NumberLists.CODES, self.snapshot.rollout, self._look_at_lists)
        else:
            batch.stop(name, self.snapshot.rollout)

    def _look_at_lists(self, batch: Batch) -> None:
        lists = NumberLists(self.snapshot.lists)
        if self._guard is None:
            lists.inspect(batch)
        else:
            look((lists,), batch, self._guard)

    def _other_lists(self, batch: Batch, i: int) -> list[Evidence]:
        """What acts about an event if no feed with a cap does; nothing where that cannot be told."""
        if self._guard is None:
            return self._lists_without.acting(batch, i)
        try:
            return self._lists_without.acting(batch, i)
        except Exception as error:  # noqa: BLE001 - the guard hears of it
            self._guard.raised(NumberLists.name, error, came_through=True)
            return []

    def _answer(self, event: Event, action: Action) -> Response | None:
        """Of a call only the attempt can be answered; a final SIP response ends what it answers."""
        if self._responses is None or (isinstance(event, CallEvent) and event.phase != "attempt"):
            return None
        return self._responses.of(KIND_OF[type(event)], action)
