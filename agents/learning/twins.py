"""Pin the champion's twin: once it has learned enough, and anew where another one is champion."""

from collections.abc import Callable, Collection, Mapping

from agents.deployments.deployed import Deployed
from agents.kafka.batch import Batch
from agents.learning.rebuild import Rebuilds
from online_models.learner import Learner
from online_models.lineage import Rebuilt
from online_models.twin import FrozenTwin, original, twin_of

Encode = Callable[[Learner, str, int], list[tuple[bytes, bytes]]]
"""Writes a learner under a name, at a time (ms), as key and value of its records; none: it is too
large to carry."""


class Twins:
    """The twin on `models`, as its one writer sees it.

    It is written in the transaction of a batch, and stays as long as its model is the champion: to
    pin it anew would be to forget what its scores were. So it does where its model is learned anew;
    one that went on from elsewhere is another model. Twins of others are deleted.

    Parameters
    ----------
    rebuilds
        Tells what the champion went on from.
    models
        Full name of the topic.
    warm_from
        Outcomes that the champion must have learned.
    encode
        Makes the snapshot.
    """

    def __init__(
        self,
        deployed: Deployed,
        rebuilds: Rebuilds,
        *,
        models: str,
        warm_from: int,
        encode: Encode,
    ) -> None:
        self._deployed = deployed
        self._rebuilds = rebuilds
        self._models = models
        self._warm_from = warm_from
        self._encode = encode
        self.begin({}, {}, {})

    def begin(
        self,
        keys: Mapping[str, Collection[bytes]],
        good: Mapping[str, Rebuilt],
        frozen: Mapping[str, FrozenTwin],
    ) -> None:
        """Go on from what stands on `models`.

        Parameters
        ----------
        keys
            Of the records of each twin.
        good
            Twins that can be loaded, and how each was learned: another one is pinned anew.
        frozen
            The same to be asked, if somebody does.
        """
        self.frozen = dict(frozen)
        """Those that stand on `models`, by name, to be asked."""
        self._keys = {name: set(each) for name, each in keys.items() if original(name) is not None}
        self._pinned = {name: rebuilt.decision for name, rebuilt in good.items()}
        """Which decision each obeys."""

    def settle(self, batch: Batch, learners: Mapping[str, Learner], now_ms: int) -> None:
        """Pin what is due, and delete what is of no use."""
        champion = self._deployed.roles.champion
        name = twin_of(champion)
        for other in [each for each in self._keys if each != name]:
            self._pinned.pop(other, None)
            self.frozen.pop(other, None)
            for key in sorted(self._keys.pop(other)):
                batch.emit(self._models, None, key, partition=0)
        learner = learners.get(champion)  # none: it is a version, or still learns what others know
        if learner is None or learner.n_learned < self._warm_from:
            return
        pinned = self._pinned.get(name)
        if pinned is not None and not self._rebuilds.has_resumed_since(champion, pinned):
            return
        # Noted first: one that is too large now would be so later.
        self._pinned[name] = self._rebuilds.of(champion).decision
        self.frozen.pop(name, None)
        records = self._encode(learner, name, now_ms)
        for key, value in records:
            self._keys.setdefault(name, set()).add(key)
            batch.emit(self._models, value, key, partition=0)
        if records:
            self.frozen[name] = FrozenTwin(name, now_ms, learner.scorer())
