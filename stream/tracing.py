"""Traces as the settings ask for them: always carried, and told of if there is a collector."""

from __future__ import annotations

from detectors.model.errors import LanjieError
from stream.settings import Settings, variable
from stream.traces import Traces


class TracesError(LanjieError):
    """Spans cannot be sent."""


def build_traces(settings: Settings) -> Traces:
    """What the settings ask for: traces are always carried, and told of if there is an endpoint.

    Raises:
        TracesError: a package for it is missing.
    """
    if not settings.otlp_endpoint:
        return Traces()
    try:
        from stream.spans import Spans  # noqa: PLC0415 - its packages are an extra
    except ImportError as missing:
        said = f"{variable('otlp_endpoint')}={settings.otlp_endpoint}: the package {missing.name} is missing"
        raise TracesError(f"{said}; expected what `pip install lanjie[otlp]` brings") from None
    return Traces(Spans(settings))
