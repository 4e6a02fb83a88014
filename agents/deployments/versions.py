"""Keep versions of models as they were at one moment, and let those go that are not to serve again.

A version is a snapshot under a key of its own, `name@version`, beside that of the model as it goes
on learning. Its one writer is the learner: snapshot and event are in the transaction of a batch, so
there is either both or nothing. What somebody else wants of it stands in the log of deployments,
and is done with the next batch. Versions that were trained from the offline store have others
written (`agents.deployments.trained_versions`); what becomes of them is the learner's concern.
"""

from collections.abc import Callable, Collection, Mapping
from math import isfinite
from typing import Final

import msgspec

from agents.deployments.deployed import Deployed
from agents.deployments.log import headers
from agents.kafka.batch import Batch
from agents.pipeline import Pipeline
from online_models.catalogue.parameters import parameters_of
from online_models.chunks import keys_of
from online_models.learner import Learner
from online_models.registry import Registry
from schemas.deployments import ARCHIVED, REGISTERED, Deployment, reference

SOURCE: Final = "/thalweg/learn"
BY: Final = "learn"

Encode = Callable[[Learner, int], list[tuple[bytes, bytes]]]
"""Writes a version of a model, at a time (ms), as key and value of its records; none: it is too
large to carry."""

_encode = msgspec.json.Encoder().encode


class Versions:
    """The versions of a pipeline's models, as their one writer sees them.

    Parameters
    ----------
    models, deployments
        Full names of the topics.
    encode
        Makes the snapshots.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        deployed: Deployed,
        *,
        models: str,
        deployments: str,
        encode: Encode,
    ) -> None:
        self._pipeline = pipeline
        self._deployed = deployed
        self._models = models
        self._deployments = deployments
        self._encode = encode
        self.begin({})

    def begin(self, published: Mapping[str, Collection[bytes]]) -> None:
        """Go on from what stands on `models`: versions, and the keys of their records."""
        self._published = dict(published)
        self._underway: list[Deployment] = []
        """Events of ours that the log, as far as it was read, does not have yet."""
        self._too_large: set[str] = set()
        """Models of which no version can be kept."""
        self._settled: Registry | None = None
        self._newest: dict[str, int] = {}

    def settle(self, batch: Batch, learners: Mapping[str, Learner], now_ms: int) -> None:
        """Do what is due: keep versions, archive the oldest, drop snapshots of archived ones."""
        registry = self._deployed.registry
        self._underway = [each for each in self._underway if not _is_decided(registry, each)]
        if self._underway or not learners:
            return  # what comes next depends on it; or another worker is the writer now
        if registry is not self._settled or learners.keys() != self._newest.keys():
            self._settled = registry
            self._newest = {
                model: next(reversed(_kept(registry, model, by=BY)), 0) for model in learners
            }
            self._note_trained(registry)
            for model, wish in registry.wanted.items():
                if model in learners:
                    why = f"{wish.event.by}: {wish.event.why}"
                    self._keep(batch, registry, learners[model], now_ms, why)
            for model in learners:
                self._make_room(batch, registry, model, now_ms)
            self._drop_archived(batch, registry)
        if self._pipeline.keep_every and not self._underway:
            for learner in learners.values():
                if self._is_due(learner):
                    self._keep(batch, registry, learner, now_ms, "it is time")

    def _is_due(self, learner: Learner) -> bool:
        newest = self._newest[learner.model]
        # One that has learned less than it had is of another lineage: it began anew.
        begun_anew = 0 < learner.version < newest
        return begun_anew or learner.version >= newest + self._pipeline.keep_every

    def _make_room(self, batch: Batch, registry: Registry, model: str, now_ms: int) -> None:
        """Archive the oldest versions of a model, but for those that are in use."""
        versions = _kept(registry, model)
        in_use = registry.roles(self._pipeline.models).kept | registry.resumed
        for version in versions[: max(0, len(versions) - self._pipeline.keep_versions)]:
            if reference(model, version) not in in_use:
                event = Deployment(
                    kind=ARCHIVED,
                    use_case=self._pipeline.use_case,
                    model=model,
                    version=version,
                    at=now_ms,
                    by=BY,
                    why=f"more than {self._pipeline.keep_versions} versions",
                    expects=registry.offset,
                )
                self._write(batch, event)

    def _note_trained(self, registry: Registry) -> None:
        """Note the records of versions that others wrote since we began."""
        for version, standing in registry.standings.items():
            event = standing.registered
            if event is not None and event.by != BY and standing.state != "archived":
                keys = keys_of(version, event.parts, place=0)
                self._published.setdefault(version, keys)

    def _drop_archived(self, batch: Batch, registry: Registry) -> None:
        for version in sorted(self._published):
            standing = registry.standings.get(version)
            if standing is not None and standing.state == "archived":
                for key in self._published.pop(version):
                    batch.emit(self._models, None, key, partition=0)

    def _keep(
        self, batch: Batch, registry: Registry, learner: Learner, now_ms: int, why: str
    ) -> None:
        model = learner.model
        if _is_taken(registry, learner):
            self._settled = None  # with the next outcome it has another number
            return
        records = [] if model in self._too_large else self._encode(learner, now_ms)
        if not records:
            self._too_large.add(model)
            return
        metrics = learner.prequential.figures()
        event = Deployment(
            kind=REGISTERED,
            use_case=self._pipeline.use_case,
            model=model,
            version=learner.version,
            at=now_ms,
            by=BY,
            why=why,
            expects=registry.offset,
            parent=_parent(registry, learner),
            through=learner.through,
            first=learner.progress.first,
            lineage=learner.progress.lineage,
            parameters=parameters_of(model),
            schema=learner.schema,
            target=learner.target,
            metrics={name: value for name, value in metrics.items() if isfinite(value)},
        )
        for key, value in records:
            batch.emit(self._models, value, key, partition=0)
        self._published[event.reference] = [key for key, _ in records]
        self._write(batch, event)

    def _write(self, batch: Batch, event: Deployment) -> None:
        self._underway.append(event)
        batch.emit(
            self._deployments,
            _encode(event),
            event.use_case.encode(),
            partition=0,
            headers=headers(event, SOURCE),
        )


def _is_decided(registry: Registry, event: Deployment) -> bool:
    """Tell whether the log has an event, or something that leaves it without effect."""
    standing = registry.standings.get(event.reference)
    has_changed = standing is not None and standing.change.offset > event.expects
    return has_changed or registry.refusal(event) is not None


def _is_taken(registry: Registry, learner: Learner) -> bool:
    """Tell whether the learner's version is the name of what one learned that began before it."""
    standing = registry.standings.get(reference(learner.model, learner.version))
    if standing is None or standing.registered is None or standing.state == "archived":
        return False
    found = standing.registered
    ours = (learner.through, learner.schema, learner.target)
    return (found.through, found.schema, found.target) != ours


def _parent(registry: Registry, learner: Learner) -> str:
    """Tell what a learner was before: the last version that was kept of it, or it went on from."""
    ours = ("", learner.progress.lineage)
    versions = [
        event.reference
        for event in _registered(registry, learner.model)
        if (event.by == BY or event.reference in registry.resumed)
        and (event.lineage in ours and event.through < learner.through)
    ]
    return versions[-1] if versions else ""


def _kept(registry: Registry, model: str, *, by: str | None = None) -> list[int]:
    """Tell the versions of a model that are kept, that which was registered first before others.

    `by` leaves out what others registered: the numbers of what was trained count no outcomes.

    Not by number: a model that begins anew, with other features, counts from 0 again.
    """
    events = _registered(registry, model)
    return [event.version or 0 for event in events if by in (None, event.by)]


def _registered(registry: Registry, model: str) -> list[Deployment]:
    return [
        standing.registered
        for standing in registry.standings.values()
        if standing.registered is not None
        and standing.registered.model == model
        and standing.state != "archived"
    ]
