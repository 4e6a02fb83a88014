"""The state of a learner, to be compared bit by bit."""

import io
import pickle  # no bytes but our own are read
from typing import Any, Final

import msgspec

from online_models import pickling
from online_models.learner import Learner
from online_models.progress import LearnerState


class _Canonical(pickle._Pickler):  # the one in Python, whose memo can be changed
    """Writes equal models as equal bytes.

    Pickles tell whether two equal strings are one object. Models that were read back have strings
    of their own, which makes no difference to what they do.
    """

    def memoize(self, obj: object) -> None:
        if not isinstance(obj, str):
            super().memoize(obj)  # type: ignore[misc]  # the stubs leave it out


def canonical(learner: Learner) -> dict[str, Any]:
    """Tell all of a learner, with each model as canonical bytes."""
    state = learner.state()
    told = {name: getattr(state, name) for name in LearnerState.__struct_fields__}
    return told | {name: _bytes(told[name]) for name in _MODELS} | {"progress": _progress(state)}


_MODELS: Final = ("model", "older_model", "newer_model")


def _bytes(pickled: bytes) -> bytes:
    out = io.BytesIO()
    _Canonical(out, protocol=5).dump(pickling.loads(pickled))
    return out.getvalue()


def _progress(state: LearnerState[Any]) -> bytes:
    return msgspec.msgpack.encode(state.progress)
