"""Overview for the duty desk: twelve figures that are read across a room, then the four graphs behind them."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from deploy.grafana.parts import (
    GREEN,
    RED,
    TOPICS,
    WORKERS,
    YELLOW,
    Panel,
    board,
    lines,
    series,
    stat_of,
    table_of,
)

DECISIONS = series("lanjie_decisions_total", TOPICS)
BLOCKED = series("lanjie_decisions_total", TOPICS, 'action=~"restrict|block"')
LATENCY = f"lanjie_end_to_end_latency_seconds_bucket{{{TOPICS}}}"
FIRING = ('alertname=~"Lanjie.*"', 'alertstate="firing"')
PAGES = series("ALERTS", *FIRING, 'severity="page"')


def _quantile(share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({LATENCY}[$__rate_interval])))"


def _first() -> list[Panel]:
    late = f"sum(rate(lanjie_deadline_misses_total{{{TOPICS}}}[$__rate_interval])) or vector(0)"
    count = f"sum(rate(lanjie_end_to_end_latency_seconds_count{{{TOPICS}}}[$__rate_interval]))"
    return [
        stat_of(
            "Alerts",
            "Alerts that page somebody and are firing now.",
            f"count({PAGES}) or vector(0)",
            "none",
            steps=[(1, RED)],
        ),
        stat_of(
            "Workers ready",
            "Workers that have all they need. 0: nothing is decided, or there is no number list.",
            f"sum(lanjie_ready{{{WORKERS}}})",
            "none",
            alerts=["LanjieNoWorkerReady", "LanjieWorkerDown"],
            names={"0": ("none", RED)},
        ),
        stat_of(
            "Decisions",
            "Decisions that Kafka has acknowledged, per second.",
            f"sum(rate({DECISIONS}[$__rate_interval]))",
            "cps",
            decimals=0,
            alerts=["LanjieNoDecisions"],
        ),
        stat_of(
            "Time to decision, p99",
            "From a record's Kafka timestamp to the acknowledgement of its decision: 99 of 100 are faster.",
            _quantile(0.99),
            "s",
            steps=[(0.25, YELLOW), (1, RED)],
            alerts=["LanjieDeadlineMissed"],
        ),
        stat_of(
            "Late",
            "Share of decisions that come after their deadline.",
            f"({late}) / {count}",
            "percentunit",
            decimals=2,
            steps=[(0.01, YELLOW), (0.1, RED)],
            alerts=["LanjieDeadlineMissed"],
        ),
        stat_of(
            "Lag",
            "Records that wait for their decision.",
            f"sum(lanjie_consumer_lag_records{{{TOPICS}}})",
            "short",
            steps=[(1000, YELLOW), (30_000, RED)],
            alerts=["LanjieLag", "LanjieLagGrows"],
        ),
    ]


def _second() -> list[Panel]:
    blocked = f"sum(rate({BLOCKED}[$__rate_interval])) or vector(0)"
    letters = f"sum(rate(lanjie_dead_letters_total{{{TOPICS}}}[$__rate_interval])) or vector(0)"
    old = f"time() - max by (feed) (lanjie_feed_made_timestamp_seconds{{{WORKERS}}})"
    return [
        stat_of(
            "Blocked or restricted",
            "Share of decisions that block or restrict. What is usual: the graph below.",
            f"({blocked}) / sum(rate({DECISIONS}[$__rate_interval]))",
            "percentunit",
            decimals=2,
            alerts=["LanjieBlocksJumped", "LanjieBlocksFell"],
        ),
        stat_of(
            "Measures",
            "The kill switch: off lets every event pass.",
            f"min(lanjie_enforcement{{{WORKERS}}})",
            "none",
            alerts=["LanjieEnforcementOff"],
            names={"0": ("OFF", RED), "1": ("on", GREEN)},
        ),
        stat_of(
            "Dead letters",
            "Share of records that cannot be used.",
            f"({letters}) / sum(rate(lanjie_events_total{{{TOPICS}}}[$__rate_interval]))",
            "percentunit",
            decimals=2,
            steps=[(0.01, YELLOW), (0.25, RED)],
            alerts=["LanjieDeadLetters", "LanjieMostlyDeadLetters"],
        ),
        stat_of(
            "Detectors off",
            "Detectors without which decisions are made, as they failed or were too slow.",
            f"sum(max by (detector) (lanjie_detector_off{{{WORKERS}}}))",
            "none",
            steps=[(1, RED)],
            alerts=["LanjieDetectorOff"],
        ),
        stat_of(
            "Brake",
            "Rules and feeds that were put into shadow for doing too much, since the workers started.",
            f"count(count by (target) (lanjie_brake_trips_total{{{WORKERS}}})) or vector(0)",
            "none",
            steps=[(1, YELLOW)],
            alerts=["LanjieBrakeTripped"],
        ),
        stat_of(
            "Feeds stale",
            "List feeds whose content is older than agreed with their makers.",
            f"count({old} > max by (feed) (lanjie_feed_stale_after_seconds{{{WORKERS}}})) or vector(0)",
            "none",
            steps=[(1, YELLOW)],
            alerts=["LanjieFeedStale", "LanjieFeedRefused"],
        ),
    ]


def _rows() -> list[tuple[str, int, list[Panel]]]:
    """Heading, height, panels."""
    usual = 'max by (topic) (topic:lanjie_blocked:usual{topic=~"$topic"})'
    return [
        ("Now", 5, _first()),
        ("And", 5, _second()),
        (
            "Decisions",
            9,
            [
                lines(
                    "Decisions by action",
                    "Per second, by the measure taken.",
                    [(f"sum by (action) (rate({DECISIONS}[$__rate_interval]))", "{{action}}")],
                    "cps",
                    stacked=True,
                    alerts=["LanjieNoDecisions", "LanjieNoEvents"],
                ),
                lines(
                    "Time to decision",
                    "From a record's Kafka timestamp to the acknowledgement of its decision.",
                    [(_quantile(share), f"p{share * 100:g}") for share in (0.5, 0.99, 0.999)],
                    "s",
                    logarithmic=True,
                    alerts=["LanjieDeadlineMissed", "LanjieLag"],
                ),
            ],
        ),
        (
            "What is unusual",
            9,
            [
                lines(
                    "Blocked or restricted, and usual",
                    "Share by topic, and what was usual at this hour of the "
                    "day before, or on this day until an hour ago.",
                    [
                        ('max by (topic) (topic:lanjie_blocked:ratio5m{topic=~"$topic"})', "{{topic}}"),
                        (usual, "usual: {{topic}}"),
                    ],
                    "percentunit",
                    alerts=["LanjieBlocksJumped", "LanjieBlocksFell"],
                ),
                lines(
                    "Lag by topic",
                    "Records that wait for their decision.",
                    [(f"sum by (topic) (lanjie_consumer_lag_records{{{TOPICS}}})", "{{topic}}")],
                    "short",
                    steps=[(30_000, RED)],
                    alerts=["LanjieLag", "LanjieLagGrows"],
                ),
                table_of(
                    "Firing",
                    "Alerts that are firing; their names are headings of the runbook.",
                    {"Firing": (f"sum by (alertname, severity) ({series('ALERTS', *FIRING)})", "none")},
                    "alertname",
                    link="/d/lanjie-runbook",
                ),
            ],
        ),
    ]


def dashboard() -> build.Dashboard:
    """The dashboard."""
    return board("lanjie-overview", "lanjie: overview", "For the duty desk: is it well, and if not, where.", _rows())
