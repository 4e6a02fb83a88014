"""What a predict worker knows of entities whose events are gathered from all partitions."""

import logging
from collections.abc import Sequence
from struct import Struct
from typing import Final

import msgspec

from schemas.entity_features import EntityFeatures
from schemas.errors import UNREADABLE
from streams.feature_set import CompiledView

logger = logging.getLogger(__name__)

_decode = msgspec.json.Decoder(EntityFeatures).decode


class KnownEntities:
    """The latest features of every such entity, as they were published last.

    A copy of `entity-features`, whole in each worker: a look into it costs no round trip. One
    thread may `offer` while another looks.

    Examples
    --------
    >>> from datetime import timedelta
    >>> from schemas.events import UserEvent
    >>> from streams.entities import ITEM, about
    >>> from streams.feature_set import compile_feature_set
    >>> from streams.features import count
    >>> views = compile_feature_set([], [about(ITEM, count(over=timedelta(hours=1)))],
    ...                             UserEvent).gathered
    >>> known, view = KnownEntities(views), views[0]
    >>> features = EntityFeatures("item", 0, view.fold.schema, {view.names[0]: 3.0})
    >>> known.offer(b"item:sku-1", msgspec.json.encode(features))
    >>> known.features(view, "item:sku-1"), known.features(view, "item:sku-2")
    ((3.0,), (0.0,))
    """

    def __init__(self, views: Sequence[CompiledView]) -> None:
        self._views: Final = {view.entity.name: view for view in views}
        self._layouts = {name: Struct(f"<{len(view.names)}d") for name, view in self._views.items()}
        # Bytes: tuples of floats would cost several times the memory, and the garbage collector.
        self._known: dict[str, dict[str, bytes]] = {name: {} for name in self._views}
        self.are_behind = False
        """Whether events have been waiting to be counted for too long: see `EntityLag`."""

    def __len__(self) -> int:
        return sum(map(len, self._known.values()))

    def offer(self, key: bytes | None, value: bytes | None) -> None:
        """Take over one record of `entity-features`; entities of other kinds are passed over.

        Features of other declarations are not known: their names are not those that models see.
        """
        entity = (key or b"").decode("utf-8", "replace")
        view = self._views.get(entity.partition(":")[0])
        if view is None:
            return
        known = self._known[view.entity.name]
        features = None if value is None else self._packed(view, entity, value)
        if features is None:
            known.pop(entity, None)
        else:
            known[entity] = features

    def features(self, view: CompiledView, key: str | None) -> tuple[float, ...]:
        """Tell an entity's features, those of nothing if it is not known."""
        if key is None or (packed := self._known[view.entity.name].get(key)) is None:
            return view.absent
        return self._layouts[view.entity.name].unpack(packed)

    def _packed(self, view: CompiledView, entity: str, value: bytes) -> bytes | None:
        try:
            update = _decode(value)
        except UNREADABLE as error:
            # The topic is ours alone: whoever wrote this can write it again.
            logger.warning("no features of %s: %s", entity, error)
            return None
        if update.schema != view.fold.schema:
            return None
        return self._layouts[view.entity.name].pack(*map(update.features.__getitem__, view.names))
