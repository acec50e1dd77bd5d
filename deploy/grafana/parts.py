"""What dashboards are made of: every panel has a title, a sentence, a unit, and its sections of the runbook.

The builders of the SDK have the same methods and no common type: hence ``Panel``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as style
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.sections import panel_of

Panel: TypeAlias = Any
Steps: TypeAlias = Sequence[tuple[float, str]]
#: Label matchers. What a panel shows are the workers that are chosen above, and of what has topics the chosen ones.
WORKERS: Final = 'job="$job",instance=~"$instance"'
TOPICS: Final = WORKERS + ',topic=~"$topic"'
CARDS: Final = 'job="$job-cards"'  #: `lanjie cards watch`, beside the workers
SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH: Final = 24
GREEN, YELLOW, RED, BLUE, GREY = "green", "#EAB839", "red", "blue", "#808080"


def series(name: str, *matchers: str) -> str:
    """A selector."""
    return f"{name}{{{','.join(matchers)}}}"


def stat_of(
    title: str,
    says: str,
    expr: str,
    unit: str,
    *,
    steps: Steps = (),
    alerts: Sequence[str] = (),
    names: Mapping[str, tuple[str, str]] | None = None,
    decimals: int | None = None,
) -> Panel:
    """One large figure on a colour. ``names``: value -> word and colour, instead of the figure."""
    panel = _panel(stat.Panel(), title, says, unit=unit, queries=[(expr, "")], alerts=alerts)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.color_mode(style.BigValueColorMode.BACKGROUND).graph_mode(style.BigValueGraphMode.AREA)
    _thresholds(panel, steps)
    if decimals is not None:
        panel.decimals(decimals)
    if names:
        panel.mappings([_mapping(names)])
    return panel


def lines(
    title: str,
    says: str,
    queries: Iterable[tuple[str, str]],
    unit: str,
    *,
    stacked: bool = False,
    alerts: Sequence[str] = (),
    steps: Steps = (),
    logarithmic: bool = False,
) -> Panel:
    """Lines over time; stacked ones are filled. A step of ``steps`` is drawn as a line."""
    panel = _panel(timeseries.Panel(), title, says, unit=unit, queries=queries, alerts=alerts)
    panel.min(0).line_width(1).show_points(style.VisibilityMode.NEVER).fill_opacity(40 if stacked else 5)
    panel.legend(
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(style.LegendDisplayMode.TABLE)
        .placement(style.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "max"])
    )
    panel.tooltip(common.VizTooltipOptions().mode(style.TooltipDisplayMode.MULTI).sort(style.SortOrder.DESCENDING))
    if stacked:
        panel.stacking(common.StackingConfig().mode(style.StackingMode.NORMAL).group("A"))
    if logarithmic:
        panel.scale_distribution(common.ScaleDistributionConfig().type(style.ScaleDistribution.LOG).log(10))
    if steps:
        _thresholds(panel, steps)
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(style.GraphThresholdsStyleMode.DASHED))
    return panel


def heat(title: str, says: str, buckets: str, unit: str, *, alerts: Sequence[str] = ()) -> Panel:
    """Where the observations of a histogram fall, over time. ``buckets``: its ``_bucket`` series, with matchers."""
    expr = f"sum by (le) (increase({buckets}[$__rate_interval]))"
    panel = _panel(heatmap.Panel(), title, says, unit="short", alerts=alerts)
    panel.with_target(_query(expr, "{{le}}", "A", instant=False).format(PromQueryFormat.HEATMAP))
    panel.y_axis(heatmap.YAxisConfig().unit(unit)).cell_gap(1).show_color_scale(True)
    panel.filter_values(heatmap.FilterValueRange().le(1e-9))  # empty cells stay dark
    return panel.color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))


def bars(title: str, says: str, expr: str, legend: str, unit: str, *, alerts: Sequence[str] = ()) -> Panel:
    """A bar for each series, by its value now."""
    panel = _panel(bargauge.Panel(), title, says, unit=unit, queries=[(expr, legend)], alerts=alerts, instant=True)
    panel.display_mode(style.BarGaugeDisplayMode.BASIC).orientation(style.VizOrientation.HORIZONTAL).min(0)
    return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def timeline(
    title: str, says: str, expr: str, legend: str, names: Mapping[str, tuple[str, str]], *, alerts: Sequence[str] = ()
) -> Panel:
    """What was the case when. ``names``: value -> word and colour."""
    panel = _panel(statetimeline.Panel(), title, says, unit="none", queries=[(expr, legend)], alerts=alerts)
    return panel.mappings([_mapping(names)]).show_value(style.VisibilityMode.AUTO).merge_values(True)


def table_of(
    title: str,
    says: str,
    columns: Mapping[str, tuple[str, str]],
    by: str,
    *,
    alerts: Sequence[str] = (),
    link: str = "",
) -> Panel:
    """A row for each value of the label ``by``, which every query keeps.

    Args:
        columns: heading -> query and unit.
        link: opened from a row's label.
    """
    panel = _panel(table.Panel(), title, says, unit="short", alerts=alerts, instant=True)
    renamed = {by: by.capitalize()}
    for (heading, (expr, unit)), ref in zip(columns.items(), "ABCDEFGH", strict=False):
        panel.with_target(_query(expr, "", ref, instant=True).format(PromQueryFormat.TABLE))
        renamed["Value" if len(columns) == 1 else f"Value #{ref}"] = heading
        panel.override_by_name(heading, [model.DynamicConfigValue(id_val="unit", value=unit)])
    if link:
        shown = [{"title": "runbook", "url": link, "targetBlank": False}]
        panel.override_by_name(by.capitalize(), [model.DynamicConfigValue(id_val="links", value=shown)])
    panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    keep = {"excludeByName": {"Time": True}, "renameByName": renamed}
    return panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=keep))


def board(
    uid: str, title: str, says: str, rows: Sequence[tuple[str, int, Sequence[Panel]]], *, time: str = "now-1h"
) -> build.Dashboard:
    """A dashboard. ``rows``: heading, height of its panels, and these, which share the width evenly."""
    made = build.Dashboard(title).uid(uid).description(says).tags(["lanjie"]).readonly()
    made.time(time, "now").refresh("10s").tooltip(model.DashboardCursorSync.CROSSHAIR)
    made.link(
        build.DashboardLink("lanjie")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags(["lanjie"])
        .include_vars(True)
        .keep_time(True)
        .as_dropdown(False)
    )
    _variables(made)
    _annotations(made)
    number = 0
    for heading, height, panels in rows:
        made.with_row(build.Row(heading).id(1000 + number))
        for panel in panels:
            number += 1
            made.with_panel(panel.id(number).span(WIDTH // len(panels)).height(height))
    return made


def _variables(made: build.Dashboard) -> None:
    made.with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    everything = model.VariableOption(selected=True, text="All", value="$__all")
    for name, query in {
        "job": "label_values(lanjie_ready, job)",
        "instance": 'label_values(lanjie_ready{job="$job"}, instance)',
        "topic": 'label_values(lanjie_events_total{job="$job"}, topic)',
    }.items():
        variable = build.QueryVariable(name).label(name.capitalize()).query(query).datasource(SOURCE)
        variable.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
        if name != "job":
            variable.multi(True).include_all(True).all_value(".*").current(everything)
        made.with_variable(variable)


def _annotations(made: build.Dashboard) -> None:
    for name, expr, colour in (
        ("Lists and rules changed", 'max by (job) (changes(lanjie_change_serial{job="$job"}[$__interval])) > 0', BLUE),
        ("Worker started", f"changes(process_start_time_seconds{{{WORKERS}}}[$__interval]) > 0", YELLOW),
    ):
        made.annotation(
            build.AnnotationQuery().name(name).datasource(SOURCE).enable(True).hide(False).icon_color(colour).expr(expr)
        )


def _panel(
    panel: Panel,
    title: str,
    says: str,
    *,
    unit: str,
    queries: Iterable[tuple[str, str]] = (),
    alerts: Sequence[str],
    instant: bool = False,
) -> Panel:
    panel.title(title).description(says).unit(unit).datasource(SOURCE)
    for (expr, legend), ref in zip(queries, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", strict=False):
        panel.with_target(_query(expr, legend, ref, instant=instant))
    if alerts:
        panel.links([build.DashboardLink(alert).url(runbook_url(alert)) for alert in alerts])
    return panel


def runbook_url(alert: str) -> str:
    """The panel of the runbook dashboard that says what to do."""
    return f"/d/lanjie-runbook?viewPanel={panel_of(alert)}"


def _query(expr: str, legend: str, ref: str, *, instant: bool) -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref)
    return query.instant() if instant else query.range()


def _thresholds(panel: Panel, steps: Steps) -> None:
    shown = [model.Threshold(None, GREEN), *(model.Threshold(value, colour) for value, colour in steps)]
    panel.thresholds(build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(shown))


def _mapping(names: Mapping[str, tuple[str, str]]) -> model.ValueMap:
    return model.ValueMap(
        {value: model.ValueMappingResult(text=text, color=colour) for value, (text, colour) in names.items()}
    )
