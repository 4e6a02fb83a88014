"""The newest snapshot of each model, as it stands on `models`, without loading any."""

import msgspec

from agents.admin import topic_reader
from agents.pipeline import Pipeline
from agents.settings import Settings
from online_models.registry import Registry
from online_models.snapshot import Manifest
from schemas import topics
from schemas.deployments import State, split


class PublishedModel(msgspec.Struct, frozen=True):
    """What a snapshot says of itself. Its signature is the concern of who loads it."""

    model: str
    """Name, or `name@version` of one that was kept as it was."""
    role: str
    """`champion`, `challenger`, `previous`, or `retired` when the pipeline has no use for it."""
    version: int
    learned: int
    """Outcomes."""
    roc_auc: float
    log_loss: float
    recent_roc_auc: float
    recent_log_loss: float
    bytes: int
    created_at: int
    """Ms since the epoch."""
    state: State
    aliases: tuple[str, ...]
    """All its roles: who was replaced is `challenger` and `previous`."""
    through: int
    """Offset of the last outcome it learned."""
    schema: str
    target: str
    river: str
    python: str


def read(settings: Settings, declared: Pipeline, registry: Registry) -> list[PublishedModel]:
    """Read the newest snapshot of each model: who serves first, the retired last.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached.
    """
    topic = topics.MODELS.named(settings.topic_prefix)
    roles = registry.roles(declared.models)
    newest: dict[str, PublishedModel] = {}
    for message in topic_reader.read_to_end(settings, topic):
        reference = (message.key() or b"").decode("utf-8", "replace")
        blob = message.value()
        if blob is None:
            newest.pop(reference, None)
            continue
        try:
            _, signed, _ = msgspec.msgpack.decode(blob, type=tuple[bytes, bytes, bytes])
            told = msgspec.msgpack.decode(signed, type=Manifest)
            model, _ = split(reference)
        except ValueError:  # as are those of msgspec
            continue  # predict refuses it too, and says so
        if told.model != model:
            continue
        aliases = roles.aliases(reference)
        newest[reference] = PublishedModel(
            model=reference,
            role=aliases[0] if aliases else "retired",
            version=told.version,
            learned=told.n_learned,
            roc_auc=told.roc_auc,
            log_loss=told.log_loss,
            recent_roc_auc=told.recent_roc_auc,
            recent_log_loss=told.recent_log_loss,
            bytes=len(blob),
            created_at=told.created_at,
            state=registry.state(reference, declared.models),
            aliases=aliases,
            through=told.through,
            schema=told.schema,
            target=told.target,
            river=told.river,
            python=told.python,
        )
    return sorted(newest.values(), key=lambda model: (model.role, model.model))
