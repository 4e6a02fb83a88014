"""What an entity's features are now: the record of `entity-features`."""

import msgspec


class EntityFeatures(msgspec.Struct, gc=False):
    """All features of one entity after a batch of its events; a tombstone when it is forgotten.

    The record's key names the entity, as `item:sku-1`.
    """

    entity: str
    """Its kind, as declared: `item`."""
    as_of: int
    """Event time of its newest event, ms."""
    schema: str
    """Hash of the declarations about this kind of entity."""
    features: dict[str, float]
    """By the names that predictions see."""
