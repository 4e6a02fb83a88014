"""Who serves, and which alerts are silent, since when and why: events on `deployments`.

No event is ever changed or removed, and the topic has one partition: all who read it see the same
events in the same order, and come to the same registry (`online_models.registry`).
"""

from typing import Final, Literal

import msgspec

from schemas.cloudevents import rfc3339

Parameter = str | int | float | bool | None
State = Literal["development", "staging", "production", "archived"]
"""Registered and never put to use; stands ready; serves; is never to serve again."""

PROMOTED: Final = "promoted"
"""A model becomes the champion, and who was it becomes `previous`."""
ROLLED_BACK: Final = "rolled_back"
"""Champion and `previous` change places."""
WANTED: Final = "wanted"
"""Somebody wants a version of a model to be kept; its learner does so."""
REGISTERED: Final = "registered"
"""A version is kept as it was at one moment, and can be promoted."""
ARCHIVED: Final = "archived"
"""A version is never to serve again, and its snapshot may go."""
STEPPED: Final = "stepped"
"""A rollout has another exposure: more users, or fewer, are in its experiment."""
STOPPED: Final = "stopped"
"""A rollout is over, and all users have the champion's answers."""

REBUILD: Final = "rebuild"
"""A model is to be learned anew, from where it began; its learner does so."""
RESUMED: Final = "resumed"
"""A model that learns is to go on from one of its versions, or, if none is named, from the
beginning of the log; its learner does so."""
RETRAINING: Final = "retraining"
"""Somebody begins to train a model from the offline store, since the pipeline's policy says so: its
version says what came of it, and until then nobody else begins."""

SILENCED: Final = "silenced"
"""Alerts of a kind are written down until a time, and do nothing: people know better."""
UNSILENCED: Final = "unsilenced"
"""They call somebody again, before that time."""
ALL_ALERTS: Final = "*"
"""As `alert_kind`: alerts of all kinds."""
LAST_MS: Final = 253_402_300_799_999
"""The last time that can be written: the end of the year 9999."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One decision about the models of a use case, or its alerts.

    A reader passes over kinds that it does not know: a newer release wrote them.

    Examples
    --------
    >>> decided = Deployment(
    ...     kind=PROMOTED,
    ...     use_case="purchase-intent",
    ...     model="binary_ftrl_v1",
    ...     replaces="binary_logistic_v1",
    ...     at=1_704_067_200_000,
    ...     by="ada@desk",
    ...     why="better by .02",
    ... )
    >>> msgspec.json.decode(msgspec.json.encode(decided), type=Deployment) == decided
    True
    """

    kind: str
    """`promoted`, `rolled_back`, `wanted`, `registered`, `archived`, `stepped`, `stopped`,
    `rebuild`, `resumed`, `retraining`, `silenced`, `unsilenced`."""
    use_case: str
    model: str
    """Name in the catalogue; empty where it is about alerts."""
    version: int | None = None
    """Of a version that was kept as it was; absent: the model as it goes on learning."""
    at: int
    """When, ms since the epoch, by the writer's clock; what counts is the order in the log."""
    by: str
    """Who: `user@host`, or the role that decided by itself."""
    why: str = ""
    expects: int = -1
    """Offset of the last event that the writer had seen. Where something else about the same matter
    took effect since, this event takes none."""
    replaces: str = ""
    """Of a promotion or a rollback: who was the champion, as its writer saw it."""
    parent: str = ""
    """Of a registered version: the last one that was kept of its lineage, or that its model went on
    from."""
    through: int = -1
    """Of a registered version: offset of the last outcome that it learned."""
    first: int = -1
    """Of a registered version: offset of the first one."""
    lineage: str = ""
    """Of a registered version: what it comes from; its number is its own within that."""
    parameters: dict[str, Parameter] = {}
    """Of a registered version: what its model is made with."""
    schema: str = ""
    """Of a registered version: hash of its features."""
    target: str = ""
    """Of a registered version: hash of the label rule that it learned from."""
    metrics: dict[str, float] = {}
    """Of a registered version: how good it had been by then; of a gate's decision: what it rests
    on."""
    parts: int = 0
    """Of a version that was trained from the offline store: records that its snapshot has beside
    its head, since another one than who wrote them takes them away once it is archived."""
    rollout: str = ""
    """Name of the rollout that was stepped or stopped, or that a promotion or rollback ended."""
    exposure: float | None = None
    """Of a step: share of users who are in the experiment from now on."""
    retraining: int = -1
    """Of a version that was trained since a policy said so: offset of the event that began it."""
    alert_kind: str = ""
    """Of a silence: of which alerts, `*` for all."""
    until: int = 0
    """Of a silence: when it ends, ms since the epoch."""

    @property
    def reference(self) -> str:
        """What it is about: `name`, or `name@version`."""
        return reference(self.model, self.version)

    @property
    def subject(self) -> str:
        """What was decided upon, in words."""
        if self.kind in (SILENCED, UNSILENCED):
            whose = "all alerts" if self.alert_kind == ALL_ALERTS else f"{self.alert_kind} alerts"
            if self.kind == UNSILENCED or not 0 <= self.until <= LAST_MS:
                return whose
            return f"{whose} until {rfc3339(self.until).decode()}"
        if self.kind == STEPPED:
            return f"{self.rollout} to an exposure of {self.exposure}"
        return self.rollout if self.kind == STOPPED else self.reference


def reference(model: str, version: int | None) -> str:
    """Name a model as it goes on learning, or one version of it.

    >>> reference("binary_ftrl_v1", None), reference("binary_ftrl_v1", 1_200)
    ('binary_ftrl_v1', 'binary_ftrl_v1@1200')
    """
    return model if version is None else f"{model}@{version}"


def split(reference: str) -> tuple[str, int | None]:
    """Tell model and version of a reference.

    Raises
    ------
    ValueError
        It is none.

    >>> split("binary_ftrl_v1"), split("binary_ftrl_v1@1200")
    (('binary_ftrl_v1', None), ('binary_ftrl_v1', 1200))
    >>> split("binary_ftrl_v1@latest")
    Traceback (most recent call last):
    ValueError: `binary_ftrl_v1@latest` is neither a model nor model@version
    """
    model, at, version = reference.partition("@")
    if not model or (at and not (version.isascii() and version.isdigit())):
        raise ValueError(f"`{reference}` is neither a model nor model@version")
    return model, int(version) if at else None
