"""Number lists: block, grey, allow and protected; exact numbers and prefixes."""

from detectors.lists.detector import NumberLists
from detectors.lists.entry import Entry, ListKind
from detectors.lists.index import NumberIndex
from detectors.lists.parse import parse_lines

__all__ = ["Entry", "ListKind", "NumberIndex", "NumberLists", "parse_lines"]
