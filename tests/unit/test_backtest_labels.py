"""Labels from disk."""

from __future__ import annotations

import pytest
import zstandard

from stream.backtest.labels import LabelError, read_labels


def test_labels_that_cannot_be_used(tmp_path):
    path = tmp_path / "labels"
    for data, says in (
        (b"", "empty"),
        (b'\n{"id": "a"}\n', ":2: Object missing required field `label`"),
        (b'{"id": "a", "label": "Fraud"}\n', ":1: $.label: 'Fraud'; expected ad, fraud, ham, illegal, other"),
        (b'{"id": "a", "label": "ad"}\n{"id": "a", "label": "ham"}\n', ":2: $.label: not what an earlier row says"),
    ):
        path.write_bytes(data)
        with pytest.raises(LabelError, match=r".") as told:
            read_labels(path)
        assert str(told.value).startswith(str(path))
        assert says in str(told.value)
    path.write_bytes(zstandard.ZstdCompressor().compress(b'{"id": "a", "label": "ad", "source": "x"}\n'))
    assert read_labels(path) == {"a": ("ad", "")}
