"""A back-test as a page for those who decide whether the change goes live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from stream.backtest.affected import CHANGES
from stream.backtest.found import SIDES
from stream.reports.page import Page, bars

_TITLES: Final = {
    "newly_blocked": "Newly blocked subscribers",
    "released": "Released subscribers",
    "stronger": "Subscribers with a stronger measure",
    "weaker": "Subscribers with a weaker measure",
}
_SHOWN: Final = 25  # rules in the drawing
_COST: Final = "microseconds per event that the family looks at; in brackets the 96 % interval of the median"


def ready() -> None:
    """Learn before all is decided whether a page can be made.

    Raises:
        ReportError: a package of the extra is missing.
    """
    page = Page("")
    page.plot("", bars(["-"], {"-": [0.0]}))
    page.render()


def page_of(figures: Mapping[str, Any]) -> Page:
    """The page.

    Raises:
        ReportError: matplotlib is not installed.
    """
    sides = "; ".join(f"{side}: rules {figures[side]['rules']}, lists {figures[side]['lists']}" for side in SIDES)
    page = Page("lanjie backtest", sides)
    _summary(page, figures)
    if figures["labels"]:
        _labels(page, figures["labels"])
    _rules(page, figures["rules"])
    _overlap(page, figures["overlap"])
    if figures["cost"]:
        _cost(page, figures["cost"])
    for kind in CHANGES:
        if figures["subscribers"][kind]:
            _subscribers(page, _TITLES[kind], figures["subscribers"][kind], figures["changed_subscribers"][kind])
    return page


def percent(share: Mapping[str, Any] | None) -> str:
    """``97.2 % (96.6-97.8)``, the interval in brackets; ``-`` of nothing."""
    if share is None:
        return "-"
    value, low, high = (100 * share[name] for name in ("value", "low", "high"))
    return f"{value:.1f} % ({low:.1f}-{high:.1f})"


def _summary(page: Page, figures: Mapping[str, Any]) -> None:
    subscribers, events = figures["changed_subscribers"], figures["changed_events"]
    page.figures(
        [
            ("events", f"{figures['events']:,}"),
            ("subscribers newly blocked", f"{subscribers['newly_blocked']:,}"),
            ("subscribers released", f"{subscribers['released']:,}"),
            ("events newly acted on", f"{events['newly_acted_on']:,}"),
            ("events no longer acted on", f"{events['no_longer_acted_on']:,}"),
        ]
    )
    if figures["log_cut"]:
        page.text(f"The log is not whole, and neither is this: {figures['log_cut']}")
    page.table(
        "Gates",
        ("gate", "holds", "found"),
        [(gate["name"], "yes" if gate["passed"] else "NO", gate["said"]) for gate in figures["gates"]],
    )
    page.table(
        "What becomes of events and subscribers",
        ("change", "events", "subscribers"),
        [(kind.replace("_", " "), events[kind], subscribers[kind]) for kind in CHANGES],
        f"Blocked: {figures['blocked_from']} or more. A subscriber counts by the strongest measure of all events; of "
        f"{subscribers['other']:,} more only weaker ones change.",
    )
    page.table(
        "Actions before and after",
        ("kind", "before", "after", "events"),
        [tuple(row.values()) for row in figures["actions"]],
    )


def _labels(page: Page, labels: Mapping[str, Any]) -> None:
    page.table(
        "Against the labels",
        ("side", "precision", "recall", "caught", "false alarms", "missed"),
        [
            (side, percent(found["precision"]), percent(found["recall"]), found["tp"], found["fp"], found["fn"])
            for side, found in ((side, labels[side]) for side in SIDES)
        ],
        "Acted on: warn or more. In brackets the 95 % interval (Wilson).",
    )
    page.table(
        "By class: events acted on",
        ("label", "class", "events", "before", "after", "newly", "no longer"),
        [
            (
                *(row[name] for name in ("label", "class", "events")),
                *(percent(row["acted_on"][side]) for side in SIDES),
                *(row[name] for name in ("newly_acted_on", "no_longer_acted_on")),
            )
            for row in labels["classes"]
        ],
        "Of fraud and illegal this is recall, of all others false alarms.",
    )


def _rules(page: Page, rules: Sequence[Mapping[str, Any]]) -> None:
    moving = [row for row in rules if sum(row[kind] for kind in CHANGES)]
    moving.sort(key=lambda row: (-sum(row[kind] for kind in CHANGES), row["code"], row["version"]))
    if moving:
        names = [name_of(row) for row in moving[:_SHOWN]]
        series = {kind.replace("_", " "): [row[kind] for row in moving[:_SHOWN]] for kind in CHANGES}
        page.plot("Events whose action changes, by rule", bars(names, series, unit="events"))
    sides = {what: [f"{what} {side}" for side in SIDES] for what in ("fired", "alone", "precision")}
    changes = (kind.replace("_", " ") for kind in CHANGES)
    page.table(
        "By rule",
        ("rule", *sides["fired"], *sides["alone"], *changes, *sides["precision"]),
        [tuple(_rule(row)) for row in (*moving, *(row for row in rules if row not in moving))],
        "Those first from which most changes come. Alone: events whose action would be weaker without this rule. The "
        "changes are those that come from the rule.",
    )


def _rule(row: Mapping[str, Any]) -> Iterator[object]:
    yield name_of(row)
    yield from (row[name][side] for name in ("fired", "alone") for side in SIDES)
    yield from (row[kind] for kind in CHANGES)
    yield from (percent(row["labels"] and row["labels"][side]["precision"]) for side in SIDES)


def name_of(rule: Mapping[str, Any]) -> str:
    """``TEXT_LOAN v2``; of a list its source; of what no rule explains ``(policy)``."""
    version = rule["version"]
    return f"{rule['code']} {'v' if version.isdecimal() else ''}{version}".strip()


def _overlap(page: Page, pairs: Sequence[Mapping[str, Any]]) -> None:
    page.table(
        "Rules that fire together, after",
        ("rule", "with", "events", "Jaccard"),
        [(*map(name_of, pair["rules"]), pair["together"], f"{pair['jaccard']:.3f}") for pair in pairs],
    )


def _cost(page: Page, cost: Mapping[str, Any]) -> None:
    page.table(
        "Cost by family",
        ("family", *SIDES),
        [(row["family"], *(_micros(row[side]) for side in SIDES)) for row in cost["families"]],
        f"{_COST[0].upper()}{_COST[1:]}; the first {cost['events']:,} events of the log.",
    )
    page.table(
        "Cost of single rules",
        ("rule", "microseconds"),
        [(row["code"], _micros(row)) for row in cost["rules"]],
        f"The family with the rule less the family without it, {_COST}. {cost['left_out']:,} rules left out.",
    )


def _micros(found: Mapping[str, Any] | None) -> str:
    return "-" if found is None else f"{found['median']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _subscribers(page: Page, title: str, rows: Sequence[Mapping[str, Any]], count: int) -> None:
    page.table(
        title,
        ("subscriber", "strongest", "events", "example", "why before", "why after"),
        [tuple(_cells(row)) for row in rows],
        f"{len(rows):,} of {count:,}. Events: stronger, weaker. Numbers are masked; * marks what the measure rests on.",
    )


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    example = row["example"]
    yield row["subscriber"] or "withheld"
    yield f"{row['before']} to {row['after']}"
    yield f"+{row['stronger_events']:,} -{row['weaker_events']:,}"
    yield "\n".join(
        (
            f"{example['kind']} {example['event']}".strip(),
            f"line {example['position'] + 1:,}",
            f"to {example['other'] or '-'}",
            example["time"],
        )
    )
    yield from (why(example[side]) for side in SIDES)


def why(decision: Mapping[str, Any]) -> str:
    """The reasons, one a line, Chinese and English."""
    reasons = "\n".join(
        f"{'*' * (r['code'] in decision['rests_on'])}{r['code']} {r['weight']:+g} {r['zh']} / {r['en']}"
        for r in decision["reasons"]
    )
    return f"{decision['action']} ({decision['score']:g}):\n{reasons or 'nothing'}"
