"""What a run of the benchmark found: the only source of RESULTS.md and its plots.

    Results ─┬─ machine, workload          where and with what
             ├─ peers: name -> [Run]       one for each round, rounds of all contenders interleaved
             ├─ floor: kind -> Floor       the engine alone beside straight-line code
             ├─ latency                    at a share of the capacity, beside an echo and two bare loops
             ├─ growth: name -> Curve      what a cost does as one thing grows
             ├─ scaling: [Scaling]         one worker and two on all cores
             ├─ replay: [Replayed]         a log decided again, beside reading it and the floor's work
             └─ memory                     one worker with a million callers

Raw figures of every round are kept; medians, spreads and ratios are worked out where they are shown. A part that was
not run is None and shown as such.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from detectors.model.errors import LanjieError
from stream.wire import dump_json

FORMAT = 1
WORKER, EXACTLY_ONCE = "lanjie worker", "lanjie worker, exactly once"
BARE, CONFLUENT, STOCK, STREAMS = "bare aiokafka", "confluent-kafka", "stock Faust agent", "Kafka Streams"
ECHO = "bare aiokafka echo"
FLOOR = "bare aiokafka with the floor's work"


class ResultsError(LanjieError):
    """A results file cannot be used."""


class Machine(msgspec.Struct):
    """Where it ran.

    Attributes:
        worker_cores, broker_cores: what processes were pinned to; none without pinning.
        log_in_memory: where the broker writes.
    """

    cpu: str
    cores: int
    memory_gib: float
    system: str
    load_before: float
    worker_cores: list[int]
    broker_cores: list[int]
    caches: dict[str, str]  #: level -> size, of the first core
    versions: dict[str, str]
    log_in_memory: bool = False


class Workload(msgspec.Struct):
    """What flowed. ``listed``: share of events whose caller is on a list; ``text``: mean characters of an SMS."""

    numbers: int
    prefixes: int
    patterns: int
    rules: int
    events: int
    callers: int
    listed: float
    text: float
    partitions: int
    build_seconds: float  #: of ``lanjie lists build``


class Run(msgspec.Struct):
    """One contender once. Rates and costs are of what came after the warm-up."""

    events: int
    rate: float  #: decisions a second, by the broker's append times
    cpu_us: float  #: CPU of the contender per decision, microseconds
    broker_us: float  #: CPU of the broker per decision
    actions: dict[str, int]  #: of all decisions


class Floor(msgspec.Struct):
    """Microseconds per event, by round; ``stages`` of the same path in pieces."""

    floor: list[float]
    whole: list[float]
    stages: dict[str, list[float]] = {}


class Tail(msgspec.Struct):
    """Latency of one run, milliseconds, from when an event was to be sent until its answer was appended."""

    events: int
    p50: float
    p99: float
    p999: float
    most: float
    late: float  #: how far the driver was behind its schedule at worst
    cpu: float  #: share of its core that the process took


class Latency(msgspec.Struct):
    """Contender -> one ``Tail`` a round, all at ``rate`` events a second."""

    capacity: float
    share: float
    rate: float
    seconds: float
    runs: dict[str, list[Tail]]


class Point(msgspec.Struct):
    """Microseconds per event, by round, at ``x``; ``bare``: of what memory alone costs there, if that is measured."""

    x: int
    us: list[float]
    bare: list[float] = []
    rate: list[float] = []  #: events a second, where it runs on Kafka


class Curve(msgspec.Struct):
    """Cost over one thing that grows, everything else as it is."""

    title: str
    x: str
    what: str
    points: list[Point]
    log: bool = True


class Scaling(msgspec.Struct):
    """Some workers on all cores together with the broker, one round. Shares are of one core."""

    workers: int
    rate: float
    worker_share: float
    broker_share: float
    worker_us: float
    broker_us: float


class Memory(msgspec.Struct):
    """A worker, MiB: idle with the lists, then with the callers; of the list's map what is resident and its share."""

    callers: int
    idle: dict[str, float]
    loaded: dict[str, float]
    mapped: dict[str, float]
    ready: list[float]  #: seconds from the start of the process until ``/ready`` says yes


class Replayed(msgspec.Struct):
    """Events of a log a second, by round, of one ``job`` in so many processes: see ``tests.benchmarks.replayed``."""

    job: str
    processes: int
    events: int
    rates: list[float]


class Results(msgspec.Struct):
    """All of it."""

    date: str
    seconds: float
    rounds: int
    commit: str
    machine: Machine
    workload: Workload
    format: int = FORMAT
    peers: dict[str, list[Run]] | None = None
    floor: dict[str, Floor] | None = None
    latency: Latency | None = None
    growth: dict[str, Curve] | None = None
    scaling: list[Scaling] | None = None
    memory: Memory | None = None
    replay: list[Replayed] | None = None
    skipped: dict[str, str] = {}  #: part or contender -> why it was not run


def read(path: Path) -> Results:
    """The results in a file.

    Raises:
        ResultsError: it is missing, no results file, or of another format.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Results)
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}; expected the results of `make bench`") from None
    except msgspec.MsgspecError as error:
        raise ResultsError(f"{path}: {error}; expected the results of `make bench`: run it again") from None
    if found.format != FORMAT:
        raise ResultsError(f"{path}: $.format: {found.format}, expected {FORMAT}: run `make bench` again")
    return found


def write(results: Results, path: Path) -> None:
    """To a file, for people and tools."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dump_json(msgspec.to_builtins(results)))
