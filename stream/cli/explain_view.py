"""An explanation as a page for a person, in Chinese, English or both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.markup import escape

from detectors.explain import Explanation
from detectors.model.decision import Reason, Response
from detectors.model.events import CardEvent, Event
from detectors.model.numbers import mask

LANGUAGES: Final = {"zh": (0,), "en": (1,), "both": (0, 1)}
AROUND: Final = 12  # characters of the message shown on each side of a hit

ACTIONS: Final = {
    "allow": ("放行", "let it pass"),
    "label": ("标记提醒", "show the callee a tag"),
    "warn": ("预警提示", "warn the person who may become a victim"),
    "challenge": ("人机验证", "divert to a check, or ask the sender to confirm"),
    "delay": ("暂缓待审", "hold for review"),
    "restrict": ("限制服务", "limit the service until re-verified"),
    "block": ("拦截", "block"),
}
#: What the first steps mean for a SIM card.
OF_CARDS: Final = {
    "label": ("标注号卡", "mark the card"),
    "warn": ("提醒机主", "tell its holder"),
    "challenge": ("要求核验机主", "have its holder verified"),
}
HEADINGS: Final = {
    "fired": ("命中依据", "What fired"),
    "score": ("得分由来", "How the score came about"),
    "near": ("接近命中", "What nearly fired"),
    "change": ("何种变化会改变结果", "What would change the outcome"),
}
SAYINGS: Final = {
    "nothing": ("无", "nothing"),
    "response": ("网关应答", "the gateway answers"),
    "protected": ("受保护号码:不论得分,一律放行", "a protected number: it passes whatever the score"),
    "allowed": ("主叫在白名单:一律放行", "the acting number is on the allow list: it passes"),
    "ceiling": ("这些迹象单独最多只能到", "these signs may lead no higher than"),
    "without": ("若无", "without"),
    "then": ("则为", "it would be"),
    "more": ("再加", "with"),
    "points": ("分则到", "points more it would reach"),
    "need_list": ("更高措施须有名单或人工依据", "a higher measure needs a list entry or a person"),
}


def show(console: Console, found: Explanation, event: Event, text: str, lang: str) -> None:
    """Print it."""
    for line in lines(found, event, text, LANGUAGES[lang]):
        console.print(line)


def lines(found: Explanation, event: Event, text: str, langs: tuple[int, ...]) -> Iterator[str]:
    """The page, with rich's markup. ``langs``: 0 for Chinese, 1 for English."""
    decision = found.decision
    when = datetime.fromtimestamp(event.time / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    meaning = ACTIONS | (OF_CARDS if isinstance(event, CardEvent) else {})
    callee = "" if isinstance(event, CardEvent) else f" -> {mask(event.b_number) or '-'}"
    yield f"{decision.kind} {escape(event.id)}  {when}  {mask(decision.subject) or '-'}{callee}"
    yield f"[bold]{decision.action}[/]  {_say(meaning[decision.action], langs)}"
    if decision.response:
        yield f"{_saying('response', langs)}: {escape(response_line(decision.response))}"
    yield ""
    yield _heading("fired", langs)
    yield from _fired(decision.reasons, text, langs) if decision.reasons else [f"  {_saying('nothing', langs)}"]
    yield _heading("score", langs)
    yield from _score(found, langs)
    yield _heading("near", langs)
    yield from [f"  {n.code} {n.version}  {escape(n.lacks)}" for n in found.near] or [f"  {_saying('nothing', langs)}"]
    yield _heading("change", langs)
    yield from _changes(found, langs)
    yield f"[dim]lists {decision.lists}, rules {decision.rules}[/]"
    if decision.appeal:
        yield escape(decision.appeal)


def response_line(response: Response) -> str:
    """In the words of its protocol: ``SIP 302 Moved Temporarily, redirect to challenge``."""
    status = "" if response.status is None else f" {response.status}"
    if response.protocol == "smpp":
        status = f" 0x{response.status:08X}"
    phrase = f" {response.phrase}" if response.phrase else ""
    what = response.do + (f" to {response.target}" if response.target else "") + " with a tag" * response.label
    headers = "".join(f"; {name}: {value}" for name, value in response.headers.items())
    return f"{response.protocol.upper()}{status}{phrase}, {what}{headers}"


def _fired(reasons: Iterable[Reason], text: str, langs: tuple[int, ...]) -> Iterator[str]:
    for r in reasons:
        detail = f"  [dim]{escape(r.detail)}[/]" if r.detail else ""
        yield f"  {r.code} v{escape(r.version)}  {r.weight:+g}  {_say((r.zh, r.en), langs)}{detail}"
        if r.span and text:
            start, end = r.span
            before, after = text[max(0, start - AROUND) : start], text[end : end + AROUND]
            yield f"      …{escape(before)}[reverse]{escape(text[start:end])}[/]{escape(after)}…"


def _score(found: Explanation, langs: tuple[int, ...]) -> Iterator[str]:
    for share in found.shares:
        bounded = "" if share.total == share.counted else f"  ({share.total:g}, 0..{share.cap:g})"
        yield f"  {share.group:<12} {share.counted:>6g}{bounded}"
    yield f"  {'=':<12} {found.score:>6g}  -> {found.reached}"
    if found.override:
        yield f"  {_saying('protected' if found.override == 'PROTECTED' else 'allowed', langs)}"
    elif found.ceiling != found.reached and found.decision.action == found.ceiling:
        yield f"  {_saying('ceiling', langs)} {found.ceiling}"


def _changes(found: Explanation, langs: tuple[int, ...]) -> Iterator[str]:
    for change in found.changes:
        signs = " + ".join(change.without)
        yield f"  {_saying('without', langs)} {signs}: {_saying('then', langs)} {change.action}"
    if found.next_step and not found.override:
        if found.points:
            yield f"  {_saying('more', langs)} {found.points:g} {_saying('points', langs)} {found.next_step}"
        else:
            yield f"  {_saying('need_list', langs)} ({found.next_step})"


def _say(sentence: tuple[str, str], langs: tuple[int, ...]) -> str:
    return escape(" / ".join(sentence[i] for i in langs))


def _saying(name: str, langs: tuple[int, ...]) -> str:
    return _say(SAYINGS[name], langs)


def _heading(name: str, langs: tuple[int, ...]) -> str:
    return f"[bold]{_say(HEADINGS[name], langs)}[/]"
