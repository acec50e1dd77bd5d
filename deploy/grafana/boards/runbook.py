"""The runbook beside the graphs: what deploy/README.md says, a panel for each alert."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import text
from grafana_foundation_sdk.models.text import TextMode

from deploy.grafana.sections import sections


def dashboard() -> build.Dashboard:
    """Two columns of texts; panels of other dashboards open one of them alone."""
    made = build.Dashboard("lanjie: runbook").uid("lanjie-runbook").tags(["lanjie"]).readonly()
    made.description("What each alert means, what to look at, what to do, when to escalate. From deploy/README.md.")
    for number, (alert, says) in enumerate(sections().items(), 1):
        panel = text.Panel().id(number).title(alert).description(f"Runbook section of {alert}.")
        made.with_panel(panel.mode(TextMode.MARKDOWN).content(says).span(12).height(9))
    return made
