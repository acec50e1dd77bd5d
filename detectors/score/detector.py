"""A sign from the message score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from detectors.contract import SMS, Batch, Detector, NearMiss
from detectors.model.decision import Evidence
from detectors.score.model import ScoreModel

CODE: Final = "MESSAGE_SCORE"
_RULE: Final = "message-score"
_NEAR: Final = 0.5  # of the threshold, from which an explanation mentions the probability


class MessageScore(Detector):
    """``MESSAGE_SCORE``: the model finds a message probably fraudulent. It knows only what it was trained on."""

    name = "score"
    sees = SMS
    CODES = frozenset({CODE})

    def __init__(self, model: ScoreModel) -> None:
        self._model = model

    def inspect(self, batch: Batch) -> None:
        for i, probability in self._scored(batch, self._model.parameters.threshold):
            batch.add(i, Evidence(CODE, _RULE, self._model.version, detail=f"p={probability:.2f}"))

    def near(self, batch: Batch) -> Iterator[NearMiss]:
        """A probability from half the threshold up."""
        threshold = self._model.parameters.threshold
        for _, probability in self._scored(batch, _NEAR * threshold):
            if probability < threshold:
                yield NearMiss(CODE, _RULE, self._model.version, f"p={probability:.3f}, expected {threshold:.3f}")

    def _scored(self, batch: Batch, least: float) -> Iterator[tuple[int, float]]:
        """Index and probability of the messages that reach ``least``."""
        shortest = self._model.parameters.shortest
        worth = [(i, normalised) for i, _, normalised in batch.sms if len(normalised) >= shortest]
        probabilities = self._model.scores([normalised for _, normalised in worth])
        for n in np.flatnonzero(probabilities >= least).tolist():
            yield worth[n][0], float(probabilities[n])
