"""`thalweg experiments step`, `stop` and `show`."""

from typing import TYPE_CHECKING

from agents.commands.flag import Flag, Share, Why
from agents.commands.model_decisions import tell

if TYPE_CHECKING:
    from agents.deployments.log import DeploymentLog, Entry
    from agents.pipeline import Pipeline
    from agents.settings import Settings
    from online_models.assignment import Rollout


def step(*, why: Why, exposure: Share = None, json: Flag = False) -> int:
    """Let more users be in the experiment, or fewer, within a second.

    Nobody who is in leaves it or changes sides while it grows. If somebody else decides at the same
    moment, one of both is refused, and told who was faster (exit code 1).

    For example:

        thalweg experiments step --why "nobody complained for a day"
        thalweg experiments step --exposure 0 --why "shadow alone, until it is looked into"

    Parameters
    ----------
    why
        For who reads the history.
    exposure
        Share of users who are in it from now on; by default the next step that is declared.
    json
        Write the answer as JSON.
    """
    from agents.deployments import desk  # noqa: PLC0415  # --help stays quick

    here, declared, rollout = load()
    entry = desk.step(here, declared, exposure, by=desk.operator(), why=why)
    return tell(entry, f"{rollout.name} has an exposure of {entry.event.exposure} now", json=json)


def stop(*, why: Why, json: Flag = False) -> int:
    """End the experiment, within a second: everybody has the champion's answers again.

    For good: a rollout that is to begin anew has another name, hence other groups.

    For example:

        thalweg experiments stop --why "the candidate is not better"

    Parameters
    ----------
    why
        For who reads the history.
    json
        Write the answer as JSON.
    """
    from agents.deployments import desk  # noqa: PLC0415  # --help stays quick

    here, declared, rollout = load()
    entry = desk.stop(here, declared, by=desk.operator(), why=why)
    return tell(entry, f"{rollout.name} is over", json=json)


def show(*, json: Flag = False) -> int:
    """Show how far the rollout that the pipeline declares has got, and who decided that.

    For example:

        thalweg experiments show
        thalweg experiments show --json

    Parameters
    ----------
    json
        Write the answer as JSON.
    """
    from agents.admin import asking_times  # noqa: PLC0415
    from agents.commands.output import (  # noqa: PLC0415
        console,
        local_time,
        write_json,
        write_table,
    )
    from agents.deployments import log  # noqa: PLC0415

    here, declared, rollout = load()
    found = log.read(here, declared.use_case)
    told = _decided_about(rollout.name, found)
    now = found.registry.rollouts.now(
        rollout, champion=found.registry.roles(declared.models).champion
    )
    stage = _stage(rollout, now, found)
    exposure = None if now is None else now.exposure
    following = None if now is None else now.next_exposure
    objection = asking_times.objection(rollout.candidate, asking_times.read(here))
    if json:
        write_json(
            {
                **{"name": rollout.name, "candidate": rollout.candidate, "stage": stage},
                **{"exposure": exposure, "next": following, "split": rollout.split},
                "may_not_serve": objection,
                "history": [log.as_json(each) for each in told],
            }
        )
        return 0
    write_table(
        ("rollout", "candidate", "stage", "exposure", "next"),
        [(rollout.name, rollout.candidate, stage, exposure, following)],
    )
    if objection is not None:
        console().print(f"{rollout.candidate} may not serve: {objection}", markup=False)
    write_table(
        ("at", "by", "decision", "why", "refused"),
        [
            (
                *(local_time(each.event.at), each.event.by),
                f"{each.event.kind.replace('_', ' ')} {each.event.subject}",
                each.event.why,
                None if each.refusal is None else each.refusal.reason,
            )
            for each in told
        ],
    )
    return 0


def load() -> "tuple[Settings, Pipeline, Rollout]":
    """Load settings, pipeline and the rollout that it declares."""
    from agents import pipeline, settings  # noqa: PLC0415
    from schemas.errors import InvalidDeclaration  # noqa: PLC0415

    here = settings.load()
    declared = pipeline.load(here.pipeline)
    if declared.rollout is None:
        raise InvalidDeclaration(
            f"`{here.pipeline}` declares no rollout: Pipeline(rollout=Rollout(name=..., "
            "candidate=..., exposure=...))"
        )
    return here, declared, declared.rollout


def _decided_about(rollout: str, found: "DeploymentLog") -> "list[Entry]":
    """Find the events about a rollout, those among them that ended it by another champion."""
    standing = found.registry.rollouts.get(rollout)
    ended_at = None if standing is None else standing.offset
    return [
        each for each in found.entries if each.event.rollout == rollout or each.offset == ended_at
    ]


def _stage(rollout: "Rollout", now: "Rollout | None", found: "DeploymentLog") -> str:
    if now is not None:
        return now.stage
    is_champion = found.registry.champion == rollout.candidate
    return "full" if is_champion else "over"
