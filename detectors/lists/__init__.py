"""Number lists: block, grey, allow and protected; exact numbers, prefixes and ranges."""

from detectors.lists.detector import NumberLists
from detectors.lists.entry import Entry, ListKind
from detectors.lists.index import NumberIndex
from detectors.lists.junk import Sieve
from detectors.lists.parse import Gone, ListParser, parse_lines

__all__ = ["Entry", "Gone", "ListKind", "ListParser", "NumberIndex", "NumberLists", "Sieve", "parse_lines"]
