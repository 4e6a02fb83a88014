"""Who serves, folded from a log that anybody may append to at any moment."""

from typing import Final

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from online_models.assignment import Rollout
from online_models.registry import Registry
from schemas.deployments import (
    ARCHIVED,
    PROMOTED,
    REBUILD,
    REGISTERED,
    RESUMED,
    ROLLED_BACK,
    STEPPED,
    STOPPED,
    WANTED,
    Deployment,
    reference,
    split,
)
from tests.histories import run_histories

USE_CASE: Final = "intent"
DECLARED: Final = ("logistic", "tree", "forest")
WRITERS: Final = ("ada", "bob", "watch")
N_HISTORIES: Final = 400

models = st.sampled_from(DECLARED)
versions = st.one_of(st.none(), st.integers(1, 3))
writers = st.sampled_from(WRITERS)
ROLLOUTS: Final = {"tree-1": "tree", "forest-1": "forest"}
rollouts = st.sampled_from([*ROLLOUTS])


def decided(kind: str, model: str, version: int | None = None, **fields: object) -> Deployment:
    known = {"use_case": USE_CASE, "at": 0, "by": "ada"}
    return msgspec.convert(
        {**known, "kind": kind, "model": model, "version": version, **fields}, Deployment
    )


class Desk:
    """A coordinator that takes one decision after another: what the log must be as good as."""

    def __init__(self) -> None:
        self.champion = DECLARED[0]
        self.previous: str | None = None
        self.archived: set[str] = set()
        self.wanted: dict[str, int] = {}
        self.exposures: dict[str, float] = {}
        self.over: set[str] = set()
        self.rebuilds: dict[str, int] = {}
        self.registered: set[str] = set()
        self.origins: dict[str, str] = {}
        """Model -> what it goes on from."""
        self.decided_at: dict[str, int] = {}
        """When something about a matter was decided last: a reference, or who is the champion."""

    def decide(self, event: Deployment, offset: int) -> bool:
        subject = event.reference
        swaps = event.kind in (PROMOTED, ROLLED_BACK)
        if event.kind in (STEPPED, STOPPED):
            return self._roll_out(event, offset)
        if event.kind == RESUMED:
            return self._resume(event, offset)
        matters = [subject, *(["champion"] if swaps else [])]
        if swaps:
            matters.append(f"<{subject}")
        if event.kind == PROMOTED:
            matters.append(f"/{event.rollout}")
        decided_at = max(self.decided_at.get(matter, -1) for matter in matters)
        if event.kind == REGISTERED:
            refused = False
            self.archived.discard(subject)
            self.registered.add(subject)
            self.wanted = {
                model: at
                for model, at in self.wanted.items()
                if model != event.model or at > event.expects
            }
        elif event.kind in (WANTED, REBUILD):
            wishes = self.wanted if event.kind == WANTED else self.rebuilds
            wishes[subject] = offset
            return True
        else:
            refused = (
                decided_at > event.expects
                or subject in self.archived
                or (event.kind == ARCHIVED and subject in (self.champion, self.previous))
                or (event.kind == ARCHIVED and "@" in subject and subject in self.origins.values())
                or (swaps and subject == self.champion)
                or (event.kind == ROLLED_BACK and subject != self.previous)
            )
        if refused:
            return False
        if swaps:
            self.decided_at[self.champion] = offset
            self.previous, self.champion = self.champion, subject
            self.decided_at["champion"] = offset
            self.over |= {*self.exposures, *([event.rollout] if event.rollout else [])}
        elif event.kind == ARCHIVED:
            self.archived.add(subject)
        self.decided_at[subject] = offset
        return True

    def _roll_out(self, event: Deployment, offset: int) -> bool:
        name = event.rollout
        matters = [f"/{name}", "champion"]
        if event.kind == STEPPED:
            matters.append(f"<{event.reference}")
        decided_at = max(self.decided_at.get(matter, -1) for matter in matters)
        if (
            decided_at > event.expects
            or name in self.over
            or event.reference == self.champion
            or (event.kind == STEPPED and self.exposures.get(name) == event.exposure)
        ):
            return False
        if event.kind == STOPPED:
            self.over.add(name)
        else:
            self.exposures[name] = event.exposure or 0.0
        self.decided_at[f"/{name}"] = offset
        return True

    def _resume(self, event: Deployment, offset: int) -> bool:
        """Who answers, or would after a rollback, stays what it is."""
        model, subject = event.model, event.reference
        stages = [f"/{name}" for name, candidate in ROLLOUTS.items() if candidate == model]
        matters = [f"<{model}", "champion", *stages]
        if (
            max(self.decided_at.get(matter, -1) for matter in matters) > event.expects
            or model in (self.champion, self.previous)
            or (event.version is not None and subject not in self.registered - self.archived)
        ):
            return False
        self.origins[model] = subject
        self.rebuilds[model] = self.decided_at[f"<{model}"] = offset
        return True


class Writing(RuleBasedStateMachine):
    """Writers who read the log now and then, and write what follows from what they read."""

    @initialize()
    def begin(self) -> None:
        self.log: list[tuple[int, Deployment]] = []
        self.live = Registry(USE_CASE)
        self.views = dict.fromkeys(WRITERS, self.live)
        self.desk = Desk()

    @rule(writer=writers)
    def read(self, writer: str) -> None:
        self.views[writer] = self.live

    @rule(writer=writers, model=models, version=versions, ended=st.sampled_from(["", *ROLLOUTS]))
    def promote(self, writer: str, model: str, version: int | None, ended: str) -> None:
        self._write(writer, PROMOTED, model, version, rollout=ended)

    @rule(writer=writers)
    def roll_back(self, writer: str) -> None:
        target = self.views[writer].roles(DECLARED).previous
        if target is not None:
            self._write(writer, ROLLED_BACK, *split(target))

    @rule(writer=writers, model=models, version=versions)
    def archive(self, writer: str, model: str, version: int | None) -> None:
        # A command looks before it writes: the log does not know whom the pipeline declares.
        if reference(model, version) != self.views[writer].roles(DECLARED).champion:
            self._write(writer, ARCHIVED, model, version)

    @rule(writer=writers, model=models, version=st.integers(1, 3))
    def register(self, writer: str, model: str, version: int) -> None:
        self._write(writer, REGISTERED, model, version)

    @rule(writer=writers, model=models)
    def want(self, writer: str, model: str) -> None:
        self._write(writer, WANTED, model, None)

    @rule(writer=writers, name=rollouts, exposure=st.sampled_from([0.0, 0.02, 0.5]))
    def step(self, writer: str, name: str, exposure: float) -> None:
        self._write(writer, STEPPED, ROLLOUTS[name], None, rollout=name, exposure=exposure)

    @rule(writer=writers, name=rollouts)
    def stop(self, writer: str, name: str) -> None:
        self._write(writer, STOPPED, ROLLOUTS[name], None, rollout=name)

    @rule(writer=writers, model=models)
    def rebuild(self, writer: str, model: str) -> None:
        self._write(writer, REBUILD, model, None)

    @rule(writer=writers, model=models, version=versions)
    def resume(self, writer: str, model: str, version: int | None) -> None:
        # As with archiving, for a log that names no champion yet.
        if model != self.views[writer].roles(DECLARED).champion:
            self._write(writer, RESUMED, model, version)

    @rule(model=models)
    def write_what_this_release_does_not_know(self, model: str) -> None:
        self._write("ada", "exposed", model, None)

    @rule(writer=writers, model=models)
    def promote_and_roll_back(self, writer: str, model: str) -> None:
        self.read(writer)
        before = self.live.roles(DECLARED)
        self._write(writer, PROMOTED, model, None)
        took_effect = self.live.roles(DECLARED) != before
        self.read(writer)
        if took_effect:
            self.roll_back(writer)

            after = self.live.roles(DECLARED)
            assert (after.champion, after.challengers) == (before.champion, before.challengers)
            assert after.previous == model

    @invariant()
    def the_log_is_as_good_as_a_coordinator(self) -> None:
        roles = self.live.roles(DECLARED)

        assert (roles.champion, roles.previous) == (self.desk.champion, self.desk.previous)
        for wishes, expected in (
            (self.live.wanted, self.desk.wanted),
            (self.live.rebuilds, self.desk.rebuilds),
        ):
            assert {model: each.offset for model, each in wishes.items()} == expected
        origins = {model: each.event.reference for model, each in self.live.origins.items()}
        assert origins == self.desk.origins

    @invariant()
    def a_rollout_is_over_or_has_the_exposure_that_was_decided_last(self) -> None:
        champion = self.live.roles(DECLARED).champion
        for name, candidate in ROLLOUTS.items():
            declared = Rollout(name=name, candidate=candidate, exposure=0.01)
            now = self.live.rollouts.now(declared, champion=champion)
            if name in self.desk.over or candidate == champion:
                assert now is None
            else:
                assert now is not None
                assert now.exposure == self.desk.exposures.get(name, 0.01)

    @invariant()
    def there_is_a_champion_that_may_serve(self) -> None:
        roles = self.live.roles(DECLARED)

        assert roles.answering[0] == roles.champion
        assert roles.champion not in self.desk.archived
        assert roles.previous not in self.desk.archived
        assert self.live.state(roles.champion, DECLARED) == "production"
        assert set(roles.challengers) == set(DECLARED) - {roles.champion}

    @invariant()
    def who_reads_it_all_again_comes_to_the_same(self) -> None:
        replayed = Registry(USE_CASE)
        for offset, event in self.log:
            wire = msgspec.json.decode(msgspec.json.encode(event), type=Deployment)
            replayed = replayed.fold(wire, offset).fold(wire, offset)

        assert replayed == self.live

    def _write(
        self, writer: str, kind: str, model: str, version: int | None, **fields: object
    ) -> None:
        view = self.views[writer]
        # Transactions leave gaps in the offsets.
        offset = self.live.offset + 1 + len(self.log) % 2
        event = decided(
            kind,
            model,
            version,
            by=writer,
            expects=view.offset,
            replaces=view.roles(DECLARED).champion if kind in (PROMOTED, ROLLED_BACK) else "",
            **fields,
        )
        refusal = self.live.refusal(event)
        folded = self.live.fold(event, offset)
        took_effect = kind != "exposed" and self.desk.decide(event, offset)

        assert (refusal is None) == took_effect
        assert (msgspec.structs.asdict(event), folded.offset) == (
            msgspec.structs.asdict(event),
            offset,
        )
        if refusal is not None and refusal.faster is not None:
            assert refusal.faster.offset > event.expects
            assert refusal.faster.event.by in WRITERS
        self.live = folded
        self.log.append((offset, event))


def test_whatever_writers_interleave_the_log_decides_as_a_coordinator_would() -> None:
    run_histories(Writing, n=N_HISTORIES)


def promoted(model: str, *, expects: int = -1, by: str = "ada") -> Deployment:
    return decided(PROMOTED, model, expects=expects, by=by, replaces=DECLARED[0])


def test_with_an_empty_log_the_declaration_holds() -> None:
    roles = Registry(USE_CASE).roles(DECLARED)

    assert (roles.champion, roles.previous) == ("logistic", None)
    assert (roles.challengers, roles.answering) == (("tree", "forest"), ("logistic",))
    assert roles.kept == frozenset()


def test_who_comes_second_is_told_who_was_faster() -> None:
    registry = Registry(USE_CASE).fold(promoted("tree", by="bob"), 4)
    refusal = registry.refusal(promoted("forest"))

    assert refusal is not None
    assert refusal.reason == "bob promoted tree meanwhile"
    assert refusal.faster is not None
    assert refusal.faster.offset == 4


def test_a_decision_about_another_matter_is_in_nobodys_way() -> None:
    registry = Registry(USE_CASE)
    for offset, event in enumerate(
        (
            decided(REGISTERED, "tree", 3, by="learn"),
            decided(REGISTERED, "tree", 5, by="learn"),
            decided(ARCHIVED, "tree", 3, by="learn", expects=1),
        )
    ):
        assert registry.refusal(event) is None
        registry = registry.fold(event, offset)

    assert registry.refusal(promoted("tree", expects=0)) is None
    assert registry.refusal(decided(PROMOTED, "tree", 3, expects=2)) is not None


@pytest.mark.parametrize(
    ("stranger", "reason"),
    [
        (decided(PROMOTED, "tree", use_case="fraud"), "it is about the use case fraud"),
        (decided("exposed", "tree"), "`exposed` is nothing that this release knows"),
        (decided(PROMOTED, ""), "it names no model"),
        (decided(PROMOTED, "tree@5"), "it names no model"),
        (decided(PROMOTED, "tree", -5), "it names no model"),
        (decided(PROMOTED, "tree", replaces="@"), "it names no model"),
        (decided(ROLLED_BACK, "tree"), "tree is not `previous`"),
        (promoted("logistic"), "logistic is the champion already"),
        (decided(WANTED, "tree", 5), "tree@5 is kept already"),
        (decided(REGISTERED, "tree"), "tree is no version"),
        (decided(STEPPED, "tree", exposure=0.1), "it names no rollout"),
        (decided(STEPPED, "tree", rollout="t"), "exposure is a share from 0 to 1, not None"),
        (
            decided(STEPPED, "tree", rollout="t", exposure=1.5),
            "exposure is a share from 0 to 1, not 1.5",
        ),
        (
            decided(REBUILD, "tree", 5),
            "tree@5 stays as it is: only what learns can be learned anew",
        ),
    ],
)
def test_what_takes_no_effect_is_passed_over_and_says_why(
    stranger: Deployment, reason: str
) -> None:
    registry = Registry(USE_CASE)
    refusal = registry.refusal(stranger)

    assert refusal is not None
    assert refusal.reason == reason
    assert registry.fold(stranger, 0) == Registry(USE_CASE, offset=0)


def test_a_champion_that_the_pipeline_names_no_more_does_not_serve() -> None:
    registry = Registry(USE_CASE).fold(promoted("tree"), 0)
    dropped = ("logistic", "forest")
    declared_anew = ("forest", "logistic")

    assert registry.roles(dropped).champion == "logistic"
    assert registry.state("tree", dropped) == "archived"
    assert registry.roles(declared_anew).champion == "forest"
    assert registry.roles(DECLARED).champion == "tree"


def test_the_states_of_a_version_from_its_first_day_to_its_last() -> None:
    registry, states = Registry(USE_CASE), []
    for offset, event in enumerate(
        (
            decided(REGISTERED, "tree", 5),
            decided(PROMOTED, "tree", 5, replaces="logistic", expects=0),
            decided(PROMOTED, "forest", replaces="tree@5", expects=1),
            decided(PROMOTED, "logistic", replaces="forest", expects=2),
            decided(ARCHIVED, "tree", 5, expects=3),
        )
    ):
        registry = registry.fold(event, offset)
        states.append(registry.state("tree@5", DECLARED))

    assert states == ["development", "production", "staging", "staging", "archived"]
    assert registry.roles(DECLARED).kept == frozenset()
    assert registry.standings["tree@5"].registered == decided(REGISTERED, "tree", 5)


def test_a_pinned_champion_has_its_own_model_as_challenger_and_first_stand_in() -> None:
    registry = Registry(USE_CASE).fold(decided(PROMOTED, "tree", 5, replaces="logistic"), 0)
    roles = registry.roles(DECLARED)

    assert roles.challengers == DECLARED
    assert roles.answering == ("tree@5", "tree", "logistic")
    assert roles.kept == {"tree@5"}
    assert [roles.aliases(name) for name in ("tree@5", "tree", "logistic", "tree@4")] == [
        ("champion",),
        ("challenger",),
        ("challenger", "previous"),
        (),
    ]


def test_a_change_of_the_champion_ends_a_rollout_and_who_steps_later_is_told() -> None:
    registry = Registry(USE_CASE)
    for offset, event in enumerate(
        (
            decided(STEPPED, "tree", rollout="tree-1", exposure=0.1),
            decided(PROMOTED, "forest", replaces="logistic", expects=0, by="bob"),
        )
    ):
        registry = registry.fold(event, offset)
    late = decided(STEPPED, "tree", rollout="tree-1", exposure=0.5, expects=0)
    later = decided(STEPPED, "tree", rollout="tree-1", exposure=0.5, expects=1)
    refusals = [registry.refusal(event) for event in (late, later)]

    assert [refusal and refusal.reason for refusal in refusals] == [
        "bob promoted forest meanwhile",
        "tree-1 is over: bob promoted forest",
    ]


def test_of_two_who_step_at_once_one_wins() -> None:
    step = decided(STEPPED, "tree", rollout="tree-1", exposure=0.1, by="bob")
    registry = Registry(USE_CASE).fold(step, 0)
    refusal = registry.refusal(decided(STOPPED, "tree", rollout="tree-1"))

    assert refusal is not None
    assert refusal.reason == "bob stepped tree-1 to an exposure of 0.1 meanwhile"


def test_a_rollout_stays_that_of_the_candidate_it_began_with() -> None:
    step = decided(STEPPED, "tree", rollout="tree-1", exposure=0.1)
    registry = Registry(USE_CASE).fold(step, 0)
    other = decided(STEPPED, "forest", rollout="tree-1", exposure=0.5, expects=0)
    refusal = registry.refusal(other)

    assert refusal is not None
    assert refusal.reason == "the candidate of tree-1 is tree"
