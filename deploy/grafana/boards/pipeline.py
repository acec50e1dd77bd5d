"""Pipeline internals: where the time goes, what waits, and what each worker is doing and using."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from deploy.grafana.parts import (
    BLUE,
    CARDS,
    GREEN,
    GREY,
    RED,
    TOPICS,
    WORKERS,
    YELLOW,
    Panel,
    board,
    heat,
    lines,
    stat_of,
    timeline,
)
from stream.metrics import STAGES, STATES

COLOURS = {"running": GREEN, "stalled": RED, "failed": RED, "waiting_for_kafka": YELLOW, "stopping": GREY}
SAYS = {
    "decode": "From bytes to events.",
    "decide": "All detectors and the policy.",
    "encode": "From decisions to bytes.",
    "deliver": "Until Kafka has acknowledged the decisions.",
}


def _rate(metric: str, by: str = "") -> str:
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}(rate({metric}[$__rate_interval]))"


def _now() -> list[Panel]:
    memory = f"max(process_resident_memory_bytes{{{WORKERS}}} / lanjie_memory_limit_bytes{{{WORKERS}}})"
    return [
        stat_of(
            "Events",
            "Records taken, per second.",
            _rate(f"lanjie_events_total{{{TOPICS}}}"),
            "cps",
            decimals=0,
            alerts=["LanjieNoEvents"],
        ),
        stat_of(
            "In flight",
            "Chunks fetched and not yet acknowledged; their number is bounded.",
            f"sum(lanjie_in_flight_chunks{{{WORKERS}}})",
            "none",
        ),
        stat_of(
            "Recovering",
            "Partition numbers that wait until their windows are made again.",
            f"sum(lanjie_recovering_partitions{{{WORKERS}}})",
            "none",
            steps=[(1, YELLOW)],
        ),
        stat_of(
            "CPU",
            "Cores in use, of the busiest worker. Nearly 1: its one thread is full; start another worker.",
            f"max(rate(process_cpu_seconds_total{{{WORKERS}}}[$__rate_interval]))",
            "none",
            decimals=2,
            steps=[(0.8, YELLOW), (0.95, RED)],
        ),
        stat_of(
            "Memory",
            "Share of its limit, of the largest worker.",
            memory,
            "percentunit",
            decimals=0,
            steps=[(0.7, YELLOW), (0.85, RED)],
            alerts=["LanjieMemoryHigh"],
        ),
        stat_of(
            "Engine errors",
            "Events on which the engine raised, since the workers started: they are dead letters.",
            f"sum(lanjie_engine_errors_total{{{WORKERS}}})",
            "none",
            steps=[(1, RED)],
            alerts=["LanjieEngineErrors"],
        ),
    ]


def _stages() -> list[Panel]:
    return [
        heat(
            stage.capitalize(),
            f"{SAYS[stage]} Time that a chunk spends in it.",
            f'lanjie_stage_seconds_bucket{{{WORKERS},stage="{stage}"}}',
            "s",
            alerts=["LanjieStageSlow"],
        )
        for stage in STAGES
    ]


def _chunks() -> list[Panel]:
    return [
        heat(
            "Time to decision",
            "From a record's Kafka timestamp to the acknowledgement of its decision.",
            f"lanjie_end_to_end_latency_seconds_bucket{{{TOPICS}}}",
            "s",
            alerts=["LanjieDeadlineMissed"],
        ),
        heat(
            "Size of chunks",
            "Records in a chunk. All at the largest: the worker is behind.",
            f"lanjie_chunk_records_bucket{{{TOPICS}}}",
            "short",
        ),
        lines(
            "Past their share",
            "Chunks per second for which a stage took more than its share of the deadline.",
            [(_rate(f"lanjie_stage_overruns_total{{{WORKERS}}}", "stage"), "{{stage}}")],
            "cps",
            alerts=["LanjieStageSlow"],
        ),
        lines(
            "Dead letters",
            "Records per second that cannot be used, by reason.",
            [(_rate(f"lanjie_dead_letters_total{{{TOPICS}}}", "topic, code"), "{{topic}} {{code}}")],
            "cps",
            alerts=["LanjieDeadLetters", "LanjieMostlyDeadLetters"],
        ),
    ]


def _group() -> list[Panel]:
    state = " + ".join(
        f'{number} * max by (instance) (lanjie_worker_state{{{WORKERS},state="{name}"}})'
        for number, name in enumerate(STATES)
    )
    names = {str(number): (name, COLOURS.get(name, BLUE)) for number, name in enumerate(STATES)}
    again = f"sum by (instance) (increase(lanjie_recovery_seconds_count{{{WORKERS}}}[$__rate_interval]))"
    return [
        timeline(
            "What workers are doing",
            "One line a worker. Stalled: a chunk waits for its commit for over 5 s.",
            state,
            "{{instance}}",
            names,
            alerts=["LanjieWorkerStalled", "LanjieKafkaAway", "LanjieWorkerNotReady"],
        ),
        lines(
            "Lag by partition",
            "Records that wait for their decision.",
            [(f"max by (topic, partition) (lanjie_consumer_lag_records{{{TOPICS}}})", "{{topic}}/{{partition}}")],
            "short",
            alerts=["LanjieLag", "LanjieLagGrows"],
        ),
        lines(
            "Assignments",
            "Partition numbers assigned: each rebalance assigns all of them again.",
            [(again, "{{instance}}")],
            "short",
            alerts=["LanjieRebalancesFlap"],
        ),
        heat(
            "Recovery",
            "From an assignment to the first event decided.",
            f"lanjie_recovery_seconds_bucket{{{WORKERS}}}",
            "s",
            alerts=["LanjieWindowsCut"],
        ),
    ]


def _memory() -> list[Panel]:
    return [
        lines(
            "Memory",
            "Resident set of each worker, and the limit.",
            [
                (f"process_resident_memory_bytes{{{WORKERS}}}", "{{instance}}"),
                (f"max(lanjie_memory_limit_bytes{{{WORKERS}}})", "limit"),
            ],
            "bytes",
            alerts=["LanjieMemoryHigh"],
        ),
        lines(
            "CPU",
            "Cores in use.",
            [(f"rate(process_cpu_seconds_total{{{WORKERS}}}[$__rate_interval])", "{{instance}}")],
            "none",
        ),
        lines(
            "Garbage collection",
            "Collections per second, by generation. The last one walks all that is not frozen.",
            [
                (
                    _rate(f"python_gc_collections_total{{{WORKERS}}}", "instance, generation"),
                    "{{instance}} gen {{generation}}",
                )
            ],
            "cps",
        ),
        lines(
            "What is remembered",
            "Callers in behaviour windows; call attempts out of their window and repeated events, since start.",
            [
                (f"sum(lanjie_active_callers{{{WORKERS}}})", "callers"),
                (f"sum(lanjie_late_events{{{WORKERS}}})", "late"),
                (f"sum(lanjie_duplicate_events{{{WORKERS}}})", "repeated"),
            ],
            "short",
        ),
    ]


def _keeping() -> list[Panel]:
    return [
        lines(
            "Checkpoints",
            "Written, or refused by the disk, per minute.",
            [(f"60 * {_rate(f'lanjie_checkpoints_total{{{WORKERS}}}', 'result')}", "{{result}}")],
            "none",
            alerts=["LanjieCheckpointRefused"],
        ),
        heat(
            "Held for a checkpoint",
            "Time that the agents stand still for one.",
            f"lanjie_checkpoint_hold_seconds_bucket{{{WORKERS}}}",
            "s",
        ),
        lines(
            "Started",
            "Age of each worker process.",
            [(f"time() - process_start_time_seconds{{{WORKERS}}}", "{{instance}}")],
            "s",
            alerts=["LanjieWorkerRestarts"],
        ),
        lines(
            "Made again",
            "Events decided again to fill windows, and those left out for want of time, per second.",
            [
                (_rate(f"lanjie_recovered_events_total{{{WORKERS}}}"), "decided again"),
                (_rate(f"lanjie_recovery_skipped_events_total{{{WORKERS}}}"), "left out"),
            ],
            "cps",
            alerts=["LanjieWindowsCut"],
        ),
    ]


def _cards() -> list[Panel]:
    return [
        timeline(
            "Who counts cards",
            "One line a process. Reads: what was before is not read yet.",
            f"max by (instance) (lanjie_card_watch_ready{{{CARDS}}})",
            "{{instance}}",
            {"0": ("reads", YELLOW), "1": ("ready", GREEN)},
            alerts=["LanjieCardsNotWatched"],
        ),
        lines(
            "Cards to count",
            "Card events that are not read yet.",
            [(f"max by (instance) (lanjie_card_lag_records{{{CARDS}}})", "{{instance}}")],
            "short",
            alerts=["LanjieCardsBehind"],
        ),
        lines(
            "Card events read",
            "Per second; unusable ones are dead letters of the workers.",
            [
                (_rate(f"lanjie_card_events_total{{{CARDS}}}"), "read"),
                (_rate(f"lanjie_card_events_unusable_total{{{CARDS}}}"), "unusable"),
            ],
            "cps",
            alerts=["LanjieCardsBehind"],
        ),
        lines(
            "Memory for counting",
            "Resident set of each process that counts.",
            [(f"process_resident_memory_bytes{{{CARDS}}}", "{{instance}}")],
            "bytes",
            alerts=["LanjieCardsMemoryHigh"],
        ),
    ]


def dashboard() -> build.Dashboard:
    """The dashboard."""
    rows = [
        ("Now", 4, _now()),
        ("Time in each stage", 8, _stages()),
        ("Chunks", 8, _chunks()),
        ("The group", 9, _group()),
        ("The process", 8, _memory()),
        ("What is kept", 8, _keeping()),
        ("Counting of SIM cards", 8, _cards()),
    ]
    return board("lanjie-pipeline", "lanjie: pipeline", "Where the time goes, what waits, what workers use.", rows)
