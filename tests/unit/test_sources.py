import gzip

import pytest
import zstandard
from prometheus_client import CollectorRegistry

from detectors.model.errors import LanjieError
from detectors.rollout import Rollout
from stream.clock import SystemClock
from stream.metrics import Metrics
from stream.number_files import SourceError
from stream.settings import ListFile
from stream.sources import load_snapshot, report

LINES = b"number,list,reason\n13800001234,grey,seen\nnonsense,block,x\n+4121560####,block,range\n"


def load(*paths, registry=None):
    registry = registry or CollectorRegistry()
    return load_snapshot([ListFile(path) for path in paths], metrics=Metrics(registry), clock=SystemClock()), registry


@pytest.mark.parametrize(
    ("name", "pack"),
    [("l.csv", bytes), ("l.csv.gz", gzip.compress), ("l.csv.zst", zstandard.ZstdCompressor().compress)],
)
def test_a_list_file_plain_or_packed(tmp_path, name, pack, caplog):
    path = tmp_path / name
    path.write_bytes(pack(LINES))
    snapshot, registry = load(path)
    assert snapshot.list_sizes == {"grey": 1, "block": 1, "allow": 0, "immutable": 0, "protected": 0}
    assert registry.get_sample_value("lanjie_list_errors_total") == 1
    assert registry.get_sample_value("lanjie_list_entries", {"list": "block"}) == 1
    assert registry.get_sample_value("lanjie_automaton_build_seconds") > 0
    assert f"{name}:3" in caplog.text
    assert "nonsense" not in caplog.text


@pytest.mark.parametrize("name", ["l.csv.gz", "l.csv.zst"])
def test_half_a_list_is_no_list(tmp_path, name):
    pack = gzip.compress if name.endswith("gz") else zstandard.ZstdCompressor().compress
    path = tmp_path / name
    many = b"".join(b"138%08d\n" % (i * 7919 % 10**8) for i in range(50_000))
    path.write_bytes(pack(many)[:-100])
    with pytest.raises(SourceError, match=r"cut short .*nothing of it is used"):
        load(path)


@pytest.mark.parametrize("name", ["missing.csv", "list.xlsx"])
def test_a_file_that_cannot_be_read_stops_the_start(tmp_path, name):
    with pytest.raises(LanjieError, match=name):
        load(tmp_path / name)


def test_when_lists_were_loaded_is_when_they_became_others(tmp_path):
    """Workers report at every look at the topics, also when nothing has changed."""
    for name, lines in {"old": b"13800001234,block\n", "new": b"13800001235,block\n"}.items():
        (tmp_path / f"{name}.csv").write_bytes(b"number,list\n" + lines)
    old, new = (load(tmp_path / f"{name}.csv")[0] for name in ("old", "new"))
    shadow = new.staged(Rollout({}, {}, enforcement=False))
    metrics = Metrics(registry := CollectorRegistry())

    def loaded(snapshot, now):
        report(snapshot, metrics, seconds=0.1, now=now)
        names = ("lists", "rules")
        return [registry.get_sample_value(f"lanjie_{name}_loaded_timestamp_seconds") for name in names]

    assert loaded(old, 10.0) == [10.0, 10.0]
    assert loaded(old, 20.0) == [10.0, 10.0]
    assert loaded(new, 30.0) == [30.0, 10.0]
    assert loaded(shadow, 40.0) == [30.0, 40.0]
    assert loaded(shadow, 50.0) == [30.0, 40.0]
