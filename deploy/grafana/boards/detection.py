"""Detection: what is found, by fraud class and sign; what is on trial; what the brake and the breakers do."""

from __future__ import annotations

from collections import defaultdict

from grafana_foundation_sdk.builders import dashboard as build

from deploy.grafana.parts import (
    CARDS,
    GREEN,
    RED,
    TOPICS,
    WORKERS,
    YELLOW,
    Panel,
    bars,
    board,
    lines,
    series,
    stat_of,
    timeline,
)
from detectors.rulepack import load_rules

DECIDED = f"sum(rate(lanjie_decisions_total{{{TOPICS}}}[$__rate_interval]))"
ALL_DECIDED = f"sum(rate(lanjie_decisions_total{{{WORKERS}}}[$__rate_interval]))"
REASONS = series("lanjie_reasons_total", WORKERS)
MEASURES = 'action!="allow"'


def _share(counted: str) -> str:
    """Of all decisions of these workers: reasons and shadows have no topic."""
    return f"(sum(rate({counted}[$__rate_interval])) or vector(0)) / {ALL_DECIDED}"


def _classes() -> list[tuple[str, str]]:
    """A query for each fraud class of the shipped text rules: a reason's code does not say its class."""
    codes = defaultdict(list)
    for rule in load_rules().text:
        codes[rule.fraud_class].append(rule.id)
    of_class = {
        name: series("lanjie_reasons_total", WORKERS, f'code=~"{"|".join(sorted(codes[name]))}"') for name in codes
    }
    return [(f"sum(rate({of_class[name]}[$__rate_interval])) or vector(0)", name) for name in sorted(of_class)]


def _now() -> list[Panel]:
    measured = f'lanjie_decisions_total{{{TOPICS},action!~"allow|label"}}'
    return [
        stat_of(
            "Measured",
            "Share of decisions that warn or do more.",
            f"(sum(rate({measured}[$__rate_interval])) or vector(0)) / {DECIDED}",
            "percentunit",
            decimals=2,
        ),
        stat_of(
            "Would differ",
            "Share of decisions that would be others if all that is on trial were enforced.",
            _share(series("lanjie_shadow_decisions_total", WORKERS)),
            "percentunit",
            decimals=2,
        ),
        stat_of(
            "Protected",
            "Share of decisions about a number that nothing may block. A jump: somebody calls or shows "
            "such numbers in bulk, or a list has one.",
            _share(series("lanjie_reasons_total", WORKERS, 'code="PROTECTED"')),
            "percentunit",
            decimals=2,
            alerts=["LanjieProtectedHits"],
        ),
        stat_of(
            "Incomplete",
            "Share of decisions that were made without a detector, or by number lists only.",
            _share(f"lanjie_degraded_decisions_total{{{WORKERS}}}"),
            "percentunit",
            decimals=2,
            steps=[(0.0001, YELLOW), (0.01, RED)],
            alerts=["LanjieDetectorOff", "LanjieListsOnly"],
        ),
        stat_of(
            "On trial",
            "Rules in shadow or canary.",
            f'sum(max by (stage) (lanjie_staged_rules{{{WORKERS},stage!="enforce"}}))',
            "none",
        ),
        stat_of("Rules", "Rules in force.", f"max(lanjie_rules{{{WORKERS}}})", "none"),
    ]


def _found() -> list[Panel]:
    family = f'label_replace(rate({REASONS}[$__rate_interval]), "family", "$1", "code", "([A-Z]+).*")'
    return [
        lines(
            "By fraud class",
            "Text reasons per second, by the fraud class of the shipped rules. Rules of your own are "
            "not in it: see the signs beside it.",
            _classes(),
            "cps",
            stacked=True,
        ),
        lines(
            "By family of signs",
            "Reasons per second: text, lists, content, number shown (CLI), behaviour (CALL), "
            "campaigns, SIM cards (CARD), combinations (COMP).",
            [(f"sum by (family) ({family})", "{{family}}")],
            "cps",
            stacked=True,
        ),
        bars(
            "Most frequent reasons",
            "How often each was named within the time shown.",
            f"sort_desc(topk(15, sum by (code) (increase({REASONS}[$__range]))))",
            "{{code}}",
            "short",
        ),
    ]


def _cards() -> list[Panel]:
    decided = series("lanjie_decisions_total", WORKERS, 'topic=~".*telecom\\\\.cards\\\\.v1"')
    signs = series("lanjie_reasons_total", WORKERS, 'code=~"CARD_.*"')
    return [
        lines(
            "Cards by action",
            "Card events decided per second, what was counted included, by the measure taken.",
            [(f"sum by (action) (rate({decided}[$__rate_interval]))", "{{action}}")],
            "cps",
            stacked=True,
        ),
        lines(
            "Signs of cards",
            "Reasons per minute, of the signs that only card events have.",
            [(f"60 * sum by (code) (rate({signs}[$__rate_interval]))", "{{code}}")],
            "none",
            stacked=True,
        ),
        lines(
            "Who is counted",
            "Identities and sales agents whose cards are known.",
            [
                (f"max(lanjie_card_identities{{{CARDS}}})", "identities"),
                (f"max(lanjie_card_agents{{{CARDS}}})", "agents"),
            ],
            "short",
            alerts=["LanjieCardsNotWatched"],
        ),
        lines(
            "Counts told",
            "Per minute, to cards of identities and agents with many.",
            [(f"60 * sum(rate(lanjie_card_counts_total{{{CARDS}}}[$__rate_interval]))", "counts")],
            "none",
            alerts=["LanjieCardsNotWatched", "LanjieCardsBehind"],
        ),
    ]


def _trial() -> list[Panel]:
    made = f"sum by (action) (rate({series('lanjie_decisions_total', WORKERS, MEASURES)}[$__rate_interval]))"
    would = f"sum by (action) (rate({series('lanjie_shadow_decisions_total', WORKERS, MEASURES)}[$__rate_interval]))"
    return [
        lines(
            "Shadow against enforced",
            "Decisions per second as made, and as they would be, where that differs, if all "
            "that is on trial were enforced.",
            [(made, "made: {{action}}"), (would, "would be: {{action}}")],
            "cps",
        ),
        lines(
            "Share of each action",
            "Of all decisions, without those that allow.",
            [(f"{made} / on () group_left () {ALL_DECIDED}", "{{action}}")],
            "percentunit",
            alerts=["LanjieBlocksJumped", "LanjieBlocksFell"],
        ),
        lines(
            "Rules by stage",
            "Stages that the workers know of.",
            [(f"max by (stage) (lanjie_staged_rules{{{WORKERS}}})", "{{stage}}")],
            "none",
        ),
        bars(
            "Brake",
            "Rules and feeds that ran away since the workers started, and how many workers stopped them.",
            f"sum by (target) (lanjie_brake_trips_total{{{WORKERS}}})",
            "{{target}}",
            "none",
            alerts=["LanjieBrakeTripped"],
        ),
    ]


def _faults() -> list[Panel]:
    failures = f"sum by (detector, kind) (increase(lanjie_detector_failures_total{{{WORKERS}}}[$__rate_interval]))"
    degraded = f"sum by (lacks) (rate(lanjie_degraded_decisions_total{{{WORKERS}}}[$__rate_interval]))"
    return [
        timeline(
            "Detectors",
            "Off: it failed too often or was too slow, and is tried again every 30 s.",
            f"max by (detector) (lanjie_detector_off{{{WORKERS}}})",
            "{{detector}}",
            {"0": ("on", GREEN), "1": ("off", RED)},
            alerts=["LanjieDetectorOff"],
        ),
        lines(
            "Failures of detectors",
            "Batches on which one raised, or that took it too long.",
            [(failures, "{{detector}} {{kind}}")],
            "short",
            alerts=["LanjieDetectorFails", "LanjieProtectionFails"],
        ),
        lines(
            "Decided without",
            "Decisions per second that lack a detector, or that only number lists made.",
            [(degraded, "{{lacks}}")],
            "cps",
            alerts=["LanjieListsOnly"],
        ),
    ]


def dashboard() -> build.Dashboard:
    """The dashboard."""
    rows = [
        ("Now", 4, _now()),
        ("What is found", 10, _found()),
        ("SIM cards", 9, _cards()),
        ("On trial", 9, _trial()),
        ("Faults", 8, _faults()),
    ]
    return board(
        "lanjie-detection",
        "lanjie: detection",
        "What is found, what is on trial, what is missing.",
        rows,
        time="now-6h",
    )
