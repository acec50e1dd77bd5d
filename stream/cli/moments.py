"""Moments as arguments."""

from __future__ import annotations

from typing import Any

import click

from detectors.lists.parse import time_of


class Moment(click.ParamType):
    """ISO 8601, UTC unless it says otherwise; milliseconds UTC."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Read it."""
        if value is None or isinstance(value, int):
            return value
        try:
            return time_of((param.name if param else None) or "time", value)
        except ValueError as error:
            self.fail(str(error).partition(": ")[2] or str(error), param, ctx)
