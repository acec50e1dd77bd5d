"""Writes the dashboards as JSON: ``python -m deploy.grafana.generate``, from the top of the checkout.

Needs ``pip install grafana-foundation-sdk==1769699379!11.6.0``: typed builders for what Grafana 11.6 and later read.
Boards are in ``boards/``, what they are made of in ``parts.py``. tests/deploy/test_dashboards.py says if the JSON is
another than that of the code.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.boards import detection, lists, overview, pipeline, runbook

BOARDS: Final = (overview, detection, pipeline, lists, runbook)
#: Fields that the SDK writes for every variable, and the schema knows for none.
OF_INTERVALS: Final = ("auto", "auto_count", "auto_min")
FOLDER: Final = Path(__file__).parent / "dashboards"


def main(folder: Path = FOLDER) -> None:
    """One file a dashboard, named as its uid is."""
    folder.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        made = json.loads(JSONEncoder().encode(board.dashboard().build()))
        for variable in made.get("templating", {}).get("list", ()):
            for name in OF_INTERVALS:
                variable.pop(name, None)
        text = json.dumps(made, sort_keys=True, indent=1, ensure_ascii=False)
        (folder / f"{made['uid']}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
