"""Weak signs from links, numbers and ids in messages. Of 35,000 ham SMS one in 1,000 or fewer has any but a messenger
id or an English "word.word" slip; they count only together with others.
"""

from __future__ import annotations

from collections.abc import Iterator

from detectors.contract import SMS, Batch, Detector
from detectors.model.decision import Evidence
from detectors.normalise.extract import Token

_VERSION = "1"


class Content(Detector):
    """``CONTENT_*``: one piece of evidence for each kind of sign in a message."""

    name = "content"
    sees = SMS
    CODES = frozenset(
        {"CONTENT_SHORT_LINK", "CONTENT_HIDDEN_LINK", "CONTENT_HIDDEN_PHONE", "CONTENT_MESSENGER", "CONTENT_CARD"}
    )

    def inspect(self, batch: Batch) -> None:
        for i, tokens in batch.tokens:
            seen: set[str] = set()
            for token in tokens:
                for code in _codes(token):
                    if code not in seen:
                        seen.add(code)
                        batch.add(i, Evidence(code, code, _VERSION, token.span))


def _codes(token: Token) -> Iterator[str]:
    if token.kind == "messenger":
        yield "CONTENT_MESSENGER"
    elif token.kind == "card":
        yield "CONTENT_CARD"
    elif token.kind == "phone":
        if token.hidden:
            yield "CONTENT_HIDDEN_PHONE"
    else:
        if token.is_short_link:
            yield "CONTENT_SHORT_LINK"
        if token.hidden:
            yield "CONTENT_HIDDEN_LINK"
