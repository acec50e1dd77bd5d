"""The in-memory broker that librdkafka carries, as a process: `python -m stream.cli.mock_broker [--detached]`.

Prints its bootstrap address as its first line, then lives until its stdin closes (the parent is gone, however it died)
or SIGTERM comes. With --detached only SIGTERM ends it.

Limits: no CreateTopics (a topic appears on first use, with 4 partitions), about 5 MB kept per partition (the oldest
record batches are dropped silently), nothing on disk.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

BOOTSTRAP_TIMEOUT_S = 10


def main(arguments: list[str]) -> int:
    """Run until told to stop. 3: the wheel is missing."""
    try:
        from confluent_kafka import Producer  # noqa: PLC0415 - an optional dependency
    except ImportError:
        sys.stderr.write("the confluent-kafka wheel is missing: pip install 'lanjie[demo]'\n")
        return 3
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    # The handle owns the cluster: it must stay referenced until the end. Its logger keeps the start banner off stderr.
    owner = Producer(
        {"bootstrap.servers": "ignored", "test.mock.num.brokers": 1, "client.id": "mock"},
        logger=logging.getLogger("librdkafka"),
    )
    broker = next(iter(owner.list_topics(timeout=BOOTSTRAP_TIMEOUT_S).brokers.values()))
    sys.stdout.write(f"{broker.host}:{broker.port}\n")
    sys.stdout.flush()
    if "--detached" not in arguments:
        threading.Thread(target=_wait_for_eof, args=(stop,), daemon=True).start()
    stop.wait()
    return 0


def _wait_for_eof(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
