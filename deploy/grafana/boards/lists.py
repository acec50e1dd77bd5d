"""Lists and feeds: what is in force, how old it is, and how changes come to be in force."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build

from deploy.grafana.parts import RED, WORKERS, YELLOW, Panel, board, heat, lines, stat_of, table_of

SERIAL = f"lanjie_change_serial{{{WORKERS}}}"
MADE = f"max by (feed) (lanjie_feed_made_timestamp_seconds{{{WORKERS}}})"
STALE_AFTER = f"max by (feed) (lanjie_feed_stale_after_seconds{{{WORKERS}}})"
CHECKED = f"max by (feed) (lanjie_feed_checked_timestamp_seconds{{{WORKERS}}})"


def _now() -> list[Panel]:
    delay = f"sum by (le) (increase(lanjie_change_delay_seconds_bucket{{{WORKERS}}}[$__range]))"
    return [
        stat_of(
            "Numbers listed",
            "Numbers and prefixes on all lists.",
            f"sum(max by (list) (lanjie_list_entries{{{WORKERS}}}))",
            "short",
            alerts=["LanjieListShrank"],
        ),
        stat_of(
            "Versions",
            "Different versions of lists or rules by which workers decide. More than 1 for long: they disagree.",
            f"count(count by (lists, rules) (lanjie_snapshot_info{{{WORKERS}}}))",
            "none",
            steps=[(2, RED)],
            alerts=["LanjieWorkersDisagree"],
        ),
        stat_of("Newest change", "Serial of the newest change in force.", f"max({SERIAL})", "none"),
        stat_of(
            "Lists changed",
            "Since lists last changed, as far as the worker that runs longest can tell.",
            f"time() - min(lanjie_lists_loaded_timestamp_seconds{{{WORKERS}}})",
            "s",
            steps=[(7 * 86_400, YELLOW)],
            alerts=["LanjieListsStale"],
        ),
        stat_of(
            "In force after, p99",
            "From when a change was on its topic to when workers decided by it, of the changes within the time shown.",
            f"histogram_quantile(0.99, {delay})",
            "s",
            steps=[(1, YELLOW), (5, RED)],
            alerts=["LanjieChangeSlow"],
        ),
        stat_of(
            "Refused",
            "Records of lists and rules that could not be used, since the workers started.",
            f"sum(lanjie_changes_refused_total{{{WORKERS}}}) or vector(0)",
            "none",
            steps=[(1, RED)],
            alerts=["LanjieChangeRefused"],
        ),
    ]


def _feeds() -> list[Panel]:
    columns = {
        "Entries": (f"max by (feed) (lanjie_feed_entries{{{WORKERS}}})", "short"),
        "Age": (f"time() - {MADE}", "s"),
        "Stale at": (STALE_AFTER, "s"),
        "Looked at": (f"time() - {CHECKED}", "s"),
        "Refused": (f"max by (feed) (lanjie_feed_problem{{{WORKERS}}})", "none"),
    }
    return [
        table_of(
            "Feeds",
            "What is in force of each feed; ages in seconds of its content and of the last look at its source. "
            "Refused 1: its newest content was.",
            columns,
            "feed",
            alerts=["LanjieFeedStale", "LanjieFeedRefused", "LanjieFeedNotPulled"],
        ),
        lines(
            "Age of each feed",
            "As a share of the age at which it is stale.",
            [(f"(time() - {MADE}) / {STALE_AFTER}", "{{feed}}")],
            "percentunit",
            steps=[(1, RED)],
            alerts=["LanjieFeedStale"],
        ),
        lines(
            "Stage of each feed",
            "1 for the stage that its newest content is in.",
            [(f"max by (feed, stage) (lanjie_feed_rollout{{{WORKERS}}}) == 1", "{{feed}}: {{stage}}")],
            "none",
        ),
    ]


def _lists() -> list[Panel]:
    loaded = f"time() - max by (instance) (lanjie_lists_loaded_timestamp_seconds{{{WORKERS}}})"
    return [
        lines(
            "Entries by list",
            "Numbers and prefixes.",
            [(f"max by (list) (lanjie_list_entries{{{WORKERS}}})", "{{list}}")],
            "short",
            alerts=["LanjieListShrank"],
        ),
        lines(
            "Entries by feed",
            "Of the content in force.",
            [(f"max by (feed) (lanjie_feed_entries{{{WORKERS}}})", "{{feed}}")],
            "short",
        ),
        lines(
            "Since lists and rules changed",
            "By worker; at most since it started.",
            [(loaded, "lists: {{instance}}"), (loaded.replace("lists", "rules"), "rules: {{instance}}")],
            "s",
            alerts=["LanjieListsStale"],
        ),
        lines(
            "Lines not usable",
            "Lines of list files that could not be used, since start.",
            [(f"sum by (instance) (lanjie_list_errors_total{{{WORKERS}}})", "{{instance}}")],
            "short",
        ),
    ]


def _changes() -> list[Panel]:
    refused = f"sum by (topic, code) (lanjie_changes_refused_total{{{WORKERS}}})"
    return [
        lines(
            "Newest change in force",
            "Equal on all workers but for a moment.",
            [(SERIAL, "{{instance}}")],
            "none",
            alerts=["LanjieWorkersDisagree"],
        ),
        heat(
            "In force after",
            "From when a change was on its topic to when this worker decided by it.",
            f"lanjie_change_delay_seconds_bucket{{{WORKERS}}}",
            "s",
            alerts=["LanjieChangeSlow"],
        ),
        lines(
            "Time to build",
            "Of the last snapshot, and of the keyword automaton in it.",
            [
                (f"max by (instance) (lanjie_snapshot_build_seconds{{{WORKERS}}})", "snapshot: {{instance}}"),
                (f"max by (instance) (lanjie_automaton_build_seconds{{{WORKERS}}})", "automaton: {{instance}}"),
            ],
            "s",
        ),
        lines(
            "Refused",
            "Records that could not be used, and files read again in vain, since start.",
            [(refused, "{{topic}} {{code}}"), (f'sum(lanjie_reloads_total{{{WORKERS},result="refused"}})', "reloads")],
            "short",
            alerts=["LanjieChangeRefused", "LanjieReloadRefused"],
        ),
    ]


def dashboard() -> build.Dashboard:
    """The dashboard."""
    rows = [("Now", 4, _now()), ("Feeds", 9, _feeds()), ("Lists", 8, _lists()), ("Changes", 8, _changes())]
    return board(
        "lanjie-lists",
        "lanjie: lists and feeds",
        "What is in force, how old it is, what changed.",
        rows,
        time="now-24h",
    )
