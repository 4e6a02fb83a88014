"""`thalweg models retrain`."""

import sys
from typing import TYPE_CHECKING, Final

from agents.commands.flag import Flag

if TYPE_CHECKING:
    from agents.learning.policy_retraining import PolicyRetraining
    from agents.pipeline import Pipeline
    from agents.settings import Settings

EVERY_S: Final = 30.0
"""How often is looked whether something is due."""


def retrain(*, watch: Flag = False, json: Flag = False) -> int:
    """Train what is due by the pipeline's `retrain`, and let what is better compete.

    A model is due when its last training began long enough ago, or after an alert. It is trained
    over the archive as by `train`, and registered; if it is better than the champion for sure, it
    goes on from that version as a challenger (`resume`), else it does not, and that is said. The
    log of deployments knows when the last training began and what came of it, so it is no matter
    who runs this command, how often, or on how many machines: one of them trains. What failed or
    was killed is begun again after `retry_after`. Takes the key that snapshots are signed with.

    Without --watch it looks once, for a timer of your own. `thalweg up` runs it with --watch if the
    pipeline has a policy, and so does your supervisor; metrics are served as by a worker.

    For example:

        thalweg models retrain
        thalweg models retrain --json
        THALWEG_METRICS_PORT=9620 thalweg models retrain --watch

    Parameters
    ----------
    watch
        Look every 30 seconds until told to stop.
    json
        Write what was trained, and when what is due, as JSON; not with --watch.
    """
    from agents import key_files, pipeline, settings  # noqa: PLC0415  # --help stays quick
    from agents.commands.output import console, write_json  # noqa: PLC0415
    from agents.history.progress import progress  # noqa: PLC0415
    from agents.learning import policy_retraining  # noqa: PLC0415
    from agents.observability.metrics import Metrics  # noqa: PLC0415
    from online_models.signing import Signer  # noqa: PLC0415
    from schemas.errors import ThalwegError  # noqa: PLC0415

    if watch and json:
        raise ThalwegError("--watch never ends, and --json tells what came of it: choose one")
    here = settings.load()
    declared = pipeline.load(here.pipeline)
    policy_retraining.policy_of(declared)
    found = policy_retraining.PolicyRetraining(
        settings=here,
        pipeline=declared,
        signer=Signer.from_pem(key_files.signing_key(here)),
        metrics=Metrics(),
        tell=_tell,
        progress=lambda title: progress(console(stderr=True), title),
    )
    if watch:
        _watch(here, found)
    rounds = found.look()
    standing = _standing(here, declared)
    if json:
        trained = [
            {"model": each.model, "result": each.result, "version": each.version, "why": each.said}
            for each in rounds
        ]
        write_json({"trained": trained, "models": standing})
    else:
        _write(standing)
    return 1 if any(each.result == "failed" for each in rounds) else 0


def _watch(here: "Settings", found: "PolicyRetraining") -> None:
    """Look again and again; whoever supervises ends it."""
    import time  # noqa: PLC0415

    from agents.observability import probes  # noqa: PLC0415
    from schemas.errors import DeliveryFailed  # noqa: PLC0415

    probes.serve(
        *(found.metrics.registry, here.metrics_host, here.metrics_port),
        live=lambda: None,
        ready=lambda: None,
    )
    said = ""
    while True:
        try:
            found.look()
            said = ""
        except DeliveryFailed as failure:  # it may be away for a moment
            if said != str(failure):
                said = str(failure)
                _tell(f"{said}; tried again every {EVERY_S:.0f} s")
        time.sleep(EVERY_S)


def _standing(here: "Settings", declared: "Pipeline") -> list[dict[str, object]]:
    """Tell of each model how it stands with its training."""
    from agents.deployments import decisions, log  # noqa: PLC0415
    from agents.learning.policy_retraining import attempt_of, policy_of  # noqa: PLC0415
    from online_models.retrain import next_at  # noqa: PLC0415

    policy, registry = policy_of(declared), log.read(here, declared.use_case).registry
    told: list[dict[str, object]] = []
    for model in policy.models or declared.models:
        last = attempt_of(registry, model)
        told.append(
            {
                "model": model,
                "last": None if last is None else last.at,
                "is_over": None if last is None else last.is_over,
                "next": next_at(policy, last),
                "not_now": decisions.answering_part(declared, registry, model),
            }
        )
    return told


def _write(standing: list[dict[str, object]]) -> None:
    from agents.commands.output import local_time, write_table  # noqa: PLC0415

    def at(value: object) -> str | None:
        if value == 0:
            return "at once"
        return local_time(value) if isinstance(value, int) else None

    write_table(
        ("model", "began", "left a version", "next by time", "not while it is"),
        [
            (
                *(each["model"], at(each["last"])),
                {None: None, True: "yes", False: "not yet"}[each["is_over"]],  # type: ignore[index]
                *(at(each["next"]), each["not_now"]),
            )
            for each in standing
        ],
    )


def _tell(line: str) -> None:
    sys.stderr.write(f"thalweg: {line}\n")
    sys.stderr.flush()
