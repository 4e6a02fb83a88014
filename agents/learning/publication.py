"""When which model is published, and as which records."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from agents.observability.learner_metrics import LearnerMetrics
from online_models import chunks
from online_models.learner import Learner
from online_models.lineage import Rebuilt
from online_models.signing import Signer
from online_models.snapshot import NEVER_REBUILT, encode
from schemas.deployments import reference

CHAMPION_INTERVAL_S: Final = 0.5
"""How often the champion is published while it learns: the larger part of its freshness."""
CHALLENGER_INTERVAL_S: Final = 10.0
"""Challengers may be large, and nobody waits for them."""
SHARE: Final = 0.05
"""Of the learner's time that writing snapshots may take: half for the champion, half for all
challengers together. Models whose snapshots take long are published less often."""


class Publication:
    """Knows of each model since when it has news, and when it may be published.

    Parameters
    ----------
    champion
        Tells whose news somebody waits for.
    environment
        Where the snapshots are to be loaded (`online_models.snapshot.environment_of`).
    rebuilt
        Tells how a model was learned anew.
    stopwatch
        Seconds of this thread's work: what others do meanwhile is no cost of a snapshot.

    Examples
    --------
    >>> from agents.observability.metrics import Metrics
    >>> seconds = iter([0.0, 2.0])
    >>> publication = Publication(
    ...     lambda: "binary_logistic_v1",
    ...     Signer.generate(),
    ...     LearnerMetrics(Metrics()),
    ...     stopwatch=lambda: next(seconds),
    ... )
    >>> learner = Learner("binary_forest_v1", feature_names=("clicks",), schema="s1")
    >>> [key for key, _ in publication.records(learner, elapsed_s=100.0, now_ms=0)]
    [b'binary_forest_v1']
    >>> publication.due_in_s("binary_forest_v1", elapsed_s=101.0)
    79.0
    """

    def __init__(
        self,
        champion: Callable[[], str],
        signer: Signer,
        metrics: LearnerMetrics,
        *,
        environment: str = "",
        rebuilt: Callable[[str], Rebuilt] = lambda model: NEVER_REBUILT,
        stopwatch: Callable[[], float] = time.thread_time,
    ) -> None:
        self._champion = champion
        self._environment = environment
        self._rebuilt = rebuilt
        self._signer = signer
        self._metrics = metrics
        self._stopwatch = stopwatch
        self._took_s: dict[str, float] = {}
        self._published_at_s: dict[str, float] = {}
        self._news_since_ms: dict[str, int] = {}
        self._places: dict[str, int] = {}

    def begin(self, places: Mapping[str, int]) -> None:
        """Forget what was, and go on from what stands on `models`.

        Parameters
        ----------
        places
            Where the parts of each model's last snapshot are (`SnapshotParts.places`).
        """
        self._news_since_ms.clear()
        self._published_at_s.clear()
        self._took_s.clear()
        self._places = dict(places)

    def wait_from(self, model: str, elapsed_s: float) -> None:
        """Let the time that a model waits begin now, unless it was published before."""
        self._published_at_s.setdefault(model, elapsed_s)

    def wait_no_longer(self, model: str) -> None:
        """Let the next snapshot of a model go out with the next batch."""
        self._published_at_s.pop(model, None)

    def note_news(self, model: str, known_at_ms: int) -> None:
        """Note that a model learned of what was known at a wall time (ms), unless it had news."""
        self._news_since_ms.setdefault(model, known_at_ms)

    def due(self, elapsed_s: float) -> Iterator[tuple[str, int]]:
        """Yield each model that has news and waited long enough, and since when it has them."""
        for model in list(self._news_since_ms):
            if self.due_in_s(model, elapsed_s) <= 0:
                yield model, self._news_since_ms.pop(model)

    def due_in_s(self, model: str, elapsed_s: float) -> float:
        """Tell how long a model that learned may still wait for its snapshot."""
        champion = self._champion()
        if model == champion:
            interval_s, took_s = CHAMPION_INTERVAL_S, self._took_s.get(model, 0.0)
        else:
            interval_s = CHALLENGER_INTERVAL_S
            took_s = sum(s for name, s in self._took_s.items() if name != champion)
        interval_s = max(interval_s, took_s / (SHARE / 2))
        return self._published_at_s.get(model, -math.inf) + interval_s - elapsed_s

    def champion_due_in_s(self, elapsed_s: float) -> float:
        """Tell how long the champion's news may still wait; 0 when there is none."""
        champion = self._champion()
        if champion not in self._news_since_ms:
            return 0.0
        return max(0.0, self.due_in_s(champion, elapsed_s))

    def records(self, learner: Learner, elapsed_s: float, now_ms: int) -> list[tuple[bytes, bytes]]:
        """Write a snapshot, as key and value of its records; none: it is too large to carry."""
        model = learner.model
        began_at_s = self._stopwatch()
        blob = self._encode(learner, now_ms)
        took_s = self._took_s[model] = self._stopwatch() - began_at_s
        self._published_at_s[model] = elapsed_s
        if len(blob) > chunks.MOST_BYTES:
            self._metrics.too_large(model, len(blob))
            return []
        self._metrics.published(model, len(blob), took_s)
        place = 1 - self._places.get(model, 1)
        records = chunks.split(model, blob, place=place)
        if len(records) > 1:
            self._places[model] = place
        return records

    def version(self, learner: Learner, now_ms: int) -> list[tuple[bytes, bytes]]:
        """Write a version of a model that is to be kept, likewise; it is written once."""
        return self.pinned(learner, reference(learner.model, learner.version), now_ms)

    def pinned(self, learner: Learner, name: str, now_ms: int) -> list[tuple[bytes, bytes]]:
        """Write a model under a name that no other snapshot of it has, likewise."""
        blob = self._encode(learner, now_ms)
        if len(blob) > chunks.MOST_BYTES:
            self._metrics.too_large(learner.model, len(blob))
            return []
        return chunks.split(name, blob, place=0)

    def _encode(self, learner: Learner, now_ms: int) -> bytes:
        return encode(
            learner,
            self._signer,
            at_ms=now_ms,
            environment=self._environment,
            rebuilt=self._rebuilt(learner.model),
        )
