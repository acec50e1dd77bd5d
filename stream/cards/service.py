"""The process behind `lanjie cards watch`: health, metrics, stop."""

from __future__ import annotations

import asyncio
import logging
import signal

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry

from detectors.model.errors import LanjieError
from stream.cards.metrics import CardMetrics
from stream.cards.watch import CardWatch
from stream.clock import SystemClock
from stream.log_level import LogLevel
from stream.log_lines import set_up_logs
from stream.process import Deadline, StateFile
from stream.settings import Settings
from stream.web.health import HealthServer

log = logging.getLogger(__name__)


def run_watch(settings: Settings) -> int:
    """Run until SIGTERM, SIGINT or a failure. Returns the exit code: 0, or 1 for the supervisor to restart us."""
    set_up_logs(settings.log_level, settings.log_format, SystemClock())
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    try:
        asyncio.run(_run(settings, registry))
    except (LanjieError, OSError) as problem:
        log.critical("%s", problem)
        return 1
    return 0


async def _run(settings: Settings, registry: CollectorRegistry) -> None:
    LogLevel(settings.log_level).listen()
    watch = CardWatch(settings, metrics=CardMetrics(registry), clock=SystemClock())
    stop = asyncio.Event()

    def ask_to_stop() -> None:
        log.info("asked to stop")
        Deadline(settings.shutdown_seconds).start()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ask_to_stop)
    health = HealthServer(watch, registry, host=settings.metrics_host, port=settings.metrics_port)
    url = await health.start()
    state = StateFile(settings.data_dir, url, "cards")
    log.info("health and metrics: %s", url)
    try:
        await watch.run(stop)
    finally:
        state.remove()
        await health.stop()
