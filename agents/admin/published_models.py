"""The newest snapshot of each model, as it stands on `models`, without loading any."""

import msgspec

from agents.admin import topic_reader
from agents.pipeline import Pipeline
from agents.settings import Settings
from online_models.snapshot import Manifest
from schemas import topics


class PublishedModel(msgspec.Struct, frozen=True):
    """What a snapshot says of itself. Its signature is the concern of who loads it."""

    model: str
    role: str
    """`champion`, `challenger`, or `retired` when the pipeline no longer names it."""
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


def read(settings: Settings, declared: Pipeline) -> list[PublishedModel]:
    """Read the newest snapshot of each model.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached.
    """
    topic = topics.MODELS.named(settings.topic_prefix)
    roles = dict.fromkeys(declared.challengers, "challenger") | {declared.champion: "champion"}
    newest: dict[str, PublishedModel] = {}
    for message in topic_reader.read_to_end(settings, topic):
        blob = message.value() or b""
        try:
            _, signed, _ = msgspec.msgpack.decode(blob, type=tuple[bytes, bytes, bytes])
            told = msgspec.msgpack.decode(signed, type=Manifest)
        except msgspec.DecodeError:
            continue  # predict refuses it too, and says so
        newest[told.model] = PublishedModel(
            model=told.model,
            role=roles.get(told.model, "retired"),
            version=told.version,
            learned=told.n_learned,
            roc_auc=told.roc_auc,
            log_loss=told.log_loss,
            recent_roc_auc=told.recent_roc_auc,
            recent_log_loss=told.recent_log_loss,
            bytes=len(blob),
            created_at=told.created_at,
        )
    return sorted(newest.values(), key=lambda model: (model.role, model.model))
