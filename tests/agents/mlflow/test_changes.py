"""What is written into MLflow, without MLflow; MLflow takes it in `test_mlflow_loads.py`."""

import sys

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agents import cli
from agents.mlflow.changes import Changes, Present, changes, numbers
from agents.mlflow.exported_versions import (
    ALIASES,
    PREFIX,
    ROLES,
    SNAPSHOT,
    STATE,
    ExportedVersion,
    gather,
)
from examples.shop.pipeline import PIPELINE
from online_models.learner import Learner
from online_models.registry import Registry
from online_models.signing import Signer, Verifier
from online_models.snapshot import claimed, encode
from schemas.deployments import PROMOTED, REGISTERED, Deployment
from tests.agents.outcome_log import FOLD, make_outcomes

CHAMPION, CHALLENGER = PIPELINE.models
SIGNER = Signer.generate()
TRUSTED = Verifier([SIGNER.public_pem()])
HERE = "/purchase-intent"
NAMES = ("a@1", "a@2", "b@1", "b@7")
TAGS = st.dictionaries(st.sampled_from((STATE, ROLES, f"{PREFIX}why")), st.text(max_size=2))


@st.composite
def wanted_versions(draw) -> list[ExportedVersion]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    holders = {alias: draw(st.sampled_from([*names, None])) for alias in ALIASES}
    return [
        ExportedVersion(
            *(name, name, 0, {}, {}, ()),
            {**draw(TAGS), SNAPSHOT: name},
            frozenset(alias for alias, holder in holders.items() if holder == name),
            b"",
        )
        for name in names
    ]


@st.composite
def mlflows(draw) -> Present:
    """Draw what MLflow has: versions of ours, and what is somebody else's."""
    held = draw(st.lists(st.sampled_from((*NAMES, None))))
    versions = {}
    for number, name in enumerate(held, start=1):
        ours = {} if name is None else {**draw(TAGS), SNAPSHOT: name}
        versions[str(number)] = {**ours, "owner": "ada"}
    aliases = draw(
        st.dictionaries(st.sampled_from((*ALIASES, "tested")), st.sampled_from([*versions, "1"]))
    )
    return Present(versions, aliases if versions else {})


def done(todo: Changes, present: Present) -> Present:
    """Do to MLflow what the exporter does."""
    versions = {number: dict(tags) for number, tags in present.versions.items()}
    number_of = numbers(present)
    for each in todo.missing:
        number = str(len(versions) + 1)
        number_of[each.snapshot] = number
        versions[number] = dict(each.tags)
    for change in todo.tags:
        if change.value is None:
            del versions[change.number][change.tag]
        else:
            versions[change.number][change.tag] = change.value
    aliases = dict(present.aliases)
    for alias, snapshot in todo.aliases.items():
        if snapshot is None:
            del aliases[alias]
        else:
            aliases[alias] = number_of[snapshot]
    return Present(versions, aliases)


@given(wanted_versions(), mlflows())
def test_mlflow_then_says_what_the_registry_says_and_an_export_more_changes_nothing(wanted, before):
    after = done(changes(wanted, before), before)

    assert not changes(wanted, after)
    number_of = numbers(after)
    for each in wanted:
        tags = after.versions[number_of[each.snapshot]]
        assert {tag: tags[tag] for tag in tags if tag.startswith(PREFIX)} == each.tags
    assert {alias: number for alias, number in after.aliases.items() if alias in ALIASES} == {
        alias: number_of[each.snapshot] for each in wanted for alias in each.aliases
    }


@given(wanted_versions(), mlflows())
def test_nothing_of_anybody_else_is_touched_and_no_version_goes(wanted, before):
    after = done(changes(wanted, before), before)

    assert after.aliases.get("tested") == before.aliases.get("tested")
    for number, tags in before.versions.items():
        assert after.versions[number]["owner"] == tags["owner"]
        if SNAPSHOT not in tags:
            assert after.versions[number] == tags
    is_wanted = {each.snapshot for each in wanted}
    for tags in after.versions.values():
        if SNAPSHOT in tags and tags[SNAPSHOT] not in is_wanted:
            assert (tags[STATE], ROLES in tags) == ("archived", False)


TRAINED = 20261128034512
"""Versions that are trained from the archive have the time for a number."""


def snapshot(
    model: str,
    n: int,
    signer: Signer = SIGNER,
    environment: str = "",
    version: int | None = None,
):
    learner = Learner(
        model, feature_names=FOLD.names, schema=FOLD.schema, target=PIPELINE.label.target
    )
    for offset, outcome in enumerate(make_outcomes(n)):
        learner.learn(outcome, offset)
    blob = encode(learner, signer, at_ms=n, environment=environment, version=version)
    return claimed(blob), blob


def decided(*events: dict[str, object]) -> Registry:
    registry = Registry(PIPELINE.use_case)
    for offset, event in enumerate(events):
        said = {"use_case": PIPELINE.use_case, "at": 0, "by": "ada", "why": "w"}
        registry = registry.fold(msgspec.convert({**said, **event}, Deployment), offset)
    return registry


def kept(model: str, version: int, **said: object) -> dict[str, object]:
    return {"kind": REGISTERED, "model": model, "version": version, **said}


def exported(snapshots, registry=decided()):  # noqa: B008  # nothing was decided
    return gather(snapshots, PIPELINE, registry, TRUSTED, HERE)


def test_kept_versions_and_models_with_a_role_are_exported_with_what_is_known_of_them():
    before = f"{CHAMPION}@20"
    registry = decided(
        kept(CHAMPION, 20),
        kept(CHAMPION, 30, parent=before),
        {"kind": PROMOTED, "model": CHAMPION, "version": 30, "replaces": CHAMPION, "expects": 1},
    )
    told = exported(
        {
            CHAMPION: snapshot(CHAMPION, 40),
            before: snapshot(CHAMPION, 20),
            f"{CHAMPION}@30": snapshot(CHAMPION, 30, environment=HERE),
            CHALLENGER: snapshot(CHALLENGER, 40),
            "binary_ftrl_v1": snapshot("binary_ftrl_v1", 40),  # the pipeline names it no more
        },
        registry,
    )
    found = {each.reference: each for each in told.versions}
    champion = found[f"{CHAMPION}@30"]

    assert list(found)[:2] == [before, f"{CHAMPION}@30"]
    assert found.keys() == {before, *(f"{CHAMPION}@{n}" for n in (30, 40)), f"{CHALLENGER}@40"}
    assert {name: each.aliases for name, each in found.items()} == {
        before: set(),
        f"{CHAMPION}@30": {"champion"},
        f"{CHAMPION}@40": {"challenger", "previous"},
        f"{CHALLENGER}@40": set(),  # MLflow has an alias once
    }
    assert found[f"{CHALLENGER}@40"].tags[ROLES] == "challenger"
    assert champion.tags | {SNAPSHOT: ""} == {
        SNAPSHOT: "",
        STATE: "production",
        ROLES: "champion",
        "thalweg.model": CHAMPION,
        "thalweg.version": "30",
        "thalweg.kept": "true",
        "thalweg.environment": HERE,
        "thalweg.learned": "30",
        "thalweg.first": "0",
        "thalweg.through": "29",
        "thalweg.lineage": claimed(champion.blob).lineage,
        "thalweg.parent": before,
        "thalweg.features": FOLD.schema,
        "thalweg.label_rule": PIPELINE.label.target,
        "thalweg.river": claimed(champion.blob).river,
        "thalweg.python": claimed(champion.blob).python,
        "thalweg.created_at": "1970-01-01T00:00:00.030Z",
        "thalweg.by": "ada",
        "thalweg.why": "w",
    }
    assert champion.parameters["LogisticRegression.optimizer"] == "SGD"
    assert champion.metrics["log_loss"] == claimed(champion.blob).log_loss
    assert champion.feature_names == FOLD.names


def test_a_version_that_its_model_still_equals_is_one_with_it():
    version = f"{CHALLENGER}@40"
    state = snapshot(CHALLENGER, 40)
    told = exported({CHALLENGER: state, version: state}, decided(kept(CHALLENGER, 40)))
    (one,) = told.versions

    assert (one.reference, one.aliases) == (version, {"challenger"})
    assert (one.tags["thalweg.kept"], one.tags[STATE]) == ("true", "staging")
    assert one.tags[ROLES] == "challenger"


def test_a_version_that_was_trained_from_the_archive_is_exported_too():
    name = f"{CHALLENGER}@{TRAINED}"
    told = exported(
        {name: snapshot(CHALLENGER, 20, version=TRAINED)}, decided(kept(CHALLENGER, TRAINED))
    )

    assert told.refused == {}
    assert [each.reference for each in told.versions] == [name]


def test_what_would_not_be_loaded_is_left_out_and_the_reason_told():
    told = exported(
        {
            CHAMPION: snapshot(CHAMPION, 20, environment="staging-/purchase-intent"),
            CHALLENGER: snapshot(CHALLENGER, 20, signer=Signer.generate()),
        }
    )

    assert told.versions == ()
    assert "is for environment staging-/purchase-intent" in told.refused[CHAMPION]
    assert "by none of the 1 trusted keys" in told.refused[CHALLENGER]


def test_without_mlflow_the_command_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as if it were not installed
    code = cli.main(["models", "mlflow", "sqlite:///mlflow.db"])

    assert code == cli.EX_ERROR
    assert capsys.readouterr().err == (
        "thalweg: `mlflow` is not installed, which an export to MLflow takes:"
        " pip install -e '.[mlflow]' in the checkout\n"
    )
