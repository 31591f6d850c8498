"""Rankings of the same slides, asked for in different ways, as one.

Sources: reciprocal rank fusion, Cormack, Clarke and Buettcher, SIGIR 2009; weighted sums of scores from 0 to 1
(CombSUM), Fox and Shaw, TREC-2 1993. HERE's authors name queries by image, words and gene together as future work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from src.errors import ConfigError
from src.interfaces import Hit, Ranking


@dataclass(frozen=True)
class Fusion:
    """How rankings become one.

    Attributes:
        method: `rrf` counts ranks, 1 / (constant + rank); `weighted` counts scores, the best of a ranking as 1 and its
            worst as 0. A slide that a ranking does not name gets nothing from it.
        weights: of each ranking by its name; what is not named counts 1.
        constant: of `rrf`, how little the first ranks stand out.

    Raises:
        ConfigError: a setting out of its range.
    """

    method: str = "rrf"
    weights: Mapping[str, int | float] | None = None
    constant: int | float = 60

    def __post_init__(self) -> None:
        if self.method not in ("rrf", "weighted"):
            raise ConfigError(f"query.fusion.method is {self.method!r}; expected rrf or weighted")
        if self.constant < 0:
            raise ConfigError(f"query.fusion.constant is {self.constant}; expected 0 or more")
        for name, weight in (self.weights or {}).items():
            if weight < 0:
                raise ConfigError(f"query.fusion.weights.{name} is {weight}; expected 0 or more")

    def fuse(self, query_id: str, rankings: Mapping[str, Ranking], k: int) -> Ranking:
        """The `k` best slides of all rankings.

        Args:
            query_id: of the answer.
            rankings: of slides, by name; each as long as it can be.
            k: number of answers.

        Returns:
            A hit is that of the first ranking that names its slide, with a score from 0 to 1 (first in all of
            them), and 1 - score as its distance. Of equal scores the smaller slide_id comes first.

        Raises:
            ConfigError: weights that leave nothing.
        """
        weights = {name: (self.weights or {}).get(name, 1.0) for name in rankings}
        if sum(weights.values()) <= 0:
            raise ConfigError("query.fusion.weights: all rankings count 0; expected one that counts more")
        scores: dict[str, float] = {}
        hits: dict[str, Hit] = {}
        for name, ranking in rankings.items():
            for slide_id, points in self._points(ranking).items():
                scores[slide_id] = scores.get(slide_id, 0.0) + weights[name] / sum(weights.values()) * points
            hits = {hit.slide_id: hit for hit in reversed(ranking.hits)} | hits
        best = sorted(scores, key=lambda slide_id: (-scores[slide_id], slide_id))[:k]
        return Ranking(query_id, tuple(_scored(hits[slide_id], scores[slide_id]) for slide_id in best))

    def _points(self, ranking: Ranking) -> dict[str, float]:
        """Of each slide by its best hit: 1 for the first, down to 0."""
        places = list(dict.fromkeys(hit.slide_id for hit in ranking))
        if self.method == "rrf":
            return {slide_id: (self.constant + 1) / (self.constant + rank) for rank, slide_id in enumerate(places, 1)}
        scores = {hit.slide_id: hit.score for hit in reversed(ranking.hits)}
        worst, best = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
        return {slide_id: (scores[slide_id] - worst) / (best - worst) if best > worst else 1.0 for slide_id in places}


def _scored(hit: Hit, score: float) -> Hit:
    return replace(hit, score=score, distance=1 - score)
