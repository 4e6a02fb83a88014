"""Decide who serves, and which alerts are silent.

Look at what there is, write the decision, and tell what came of it.
"""

import getpass
import os
import platform
import time

from agents.admin import published_models
from agents.deployments import decisions, log
from agents.deployments.log import DeploymentLog, Entry
from agents.pipeline import Pipeline
from agents.settings import Settings
from schemas.deployments import Deployment
from schemas.errors import ThalwegError

SOURCE = "/thalweg/models"
SOURCE_OF_SILENCES = "/thalweg/alerts"


def promote(settings: Settings, pipeline: Pipeline, reference: str, *, by: str, why: str) -> Entry:
    """Make a model, or a version of it that was kept, the champion.

    Raises
    ------
    ThalwegError
        It cannot be; says why, and nothing was written.
    DeliveryFailed
        The broker cannot be reached.
    """
    found = log.read(settings, pipeline.use_case)
    event = decisions.promotion(pipeline, found.registry, reference, at=_now_ms(), by=by, why=why)
    return _write(settings, pipeline, found, event)


def roll_back(settings: Settings, pipeline: Pipeline, *, by: str, why: str) -> Entry:
    """Put back who was the champion before; raises likewise."""
    found = log.read(settings, pipeline.use_case)
    event = decisions.rollback(pipeline, found.registry, at=_now_ms(), by=by, why=why)
    return _write(settings, pipeline, found, event)


def keep(settings: Settings, pipeline: Pipeline, model: str, *, by: str, why: str) -> Entry:
    """Ask the learner to keep a version of a model as it is; raises likewise."""
    found = log.read(settings, pipeline.use_case)
    event = decisions.wish(pipeline, found.registry, model, at=_now_ms(), by=by, why=why)
    return log.append(settings, event, SOURCE)


def rebuild(settings: Settings, pipeline: Pipeline, model: str, *, by: str, why: str) -> Entry:
    """Ask the learner to learn a model anew from the log; raises likewise."""
    found = log.read(settings, pipeline.use_case)
    event = decisions.rebuild(pipeline, found.registry, model, at=_now_ms(), by=by, why=why)
    return log.append(settings, event, SOURCE)


def resume(settings: Settings, pipeline: Pipeline, reference: str, *, by: str, why: str) -> Entry:
    """Let a challenger go on from one of its versions; raises likewise."""
    found = log.read(settings, pipeline.use_case)
    event = decisions.resumption(pipeline, found.registry, reference, at=_now_ms(), by=by, why=why)
    return log.append(settings, event, SOURCE)


def archive(settings: Settings, pipeline: Pipeline, version: str, *, by: str, why: str) -> Entry:
    """Let a version never serve again; raises likewise."""
    found = log.read(settings, pipeline.use_case)
    event = decisions.archiving(pipeline, found.registry, version, at=_now_ms(), by=by, why=why)
    return log.append(settings, event, SOURCE)


def step(
    settings: Settings, pipeline: Pipeline, exposure: float | None, *, by: str, why: str
) -> Entry:
    """Let more users, or fewer, be in the pipeline's rollout; raises likewise."""
    found = log.read(settings, pipeline.use_case)
    event = decisions.step(pipeline, found.registry, exposure, at=_now_ms(), by=by, why=why)
    return _write(settings, pipeline, found, event)


def stop(settings: Settings, pipeline: Pipeline, *, by: str, why: str) -> Entry:
    """End the pipeline's rollout; raises likewise."""
    found = log.read(settings, pipeline.use_case)
    event = decisions.stop(pipeline, found.registry, at=_now_ms(), by=by, why=why)
    return log.append(settings, event, SOURCE)


def silence(
    settings: Settings, pipeline: Pipeline, kind: str, until: int, *, by: str, why: str
) -> Entry:
    """Let alerts of a kind be written down only, until a time (ms); raises likewise."""
    found = log.read(settings, pipeline.use_case)
    event = decisions.silencing(found.registry, kind, until=until, at=_now_ms(), by=by, why=why)
    return log.append(settings, event, SOURCE_OF_SILENCES)


def unsilence(settings: Settings, pipeline: Pipeline, kind: str, *, by: str, why: str) -> Entry:
    """Take a silence back; raises likewise."""
    found = log.read(settings, pipeline.use_case)
    event = decisions.unsilencing(found.registry, kind, at=_now_ms(), by=by, why=why)
    return log.append(settings, event, SOURCE_OF_SILENCES)


def operator() -> str:
    """Tell who decides: `user@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user need not have a name
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


def _write(
    settings: Settings, pipeline: Pipeline, found: DeploymentLog, event: Deployment
) -> Entry:
    published = {
        each.model: each for each in published_models.read(settings, pipeline, found.registry)
    }
    if event.reference not in published:
        raise ThalwegError(
            f"{event.reference} has no snapshot on `models` yet, so it could not serve"
        )
    origin = found.registry.origins.get(event.reference)
    if origin is not None and published[event.reference].rebuilt < origin.offset:
        raise ThalwegError(
            f"{event.reference} does not go on from {origin.event.reference} yet, as"
            f" {origin.event.by} decided; promote a version of it, or wait"
        )
    return log.append(settings, event, SOURCE)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
