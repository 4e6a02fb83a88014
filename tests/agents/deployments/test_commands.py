"""`thalweg models` on a real broker: who decides, who comes second, and what is told of it."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from agents import cli
from agents.commands.model_decisions import EX_REFUSED
from agents.deployments import decisions, desk, log
from agents.observability import metric_list
from examples.shop.pipeline import PIPELINE
from online_models.signing import Verifier
from online_models.snapshot import decode
from schemas import topics
from schemas.deployments import Deployment
from schemas.telemetry import Telemetry
from tests.agents.deployments.published import CHALLENGER, CHAMPION, N_LEARNED, Environment
from tests.agents.outcome_log import FOLD

pytestmark = pytest.mark.integration

N_RIVALS = 6


class Desk(Environment):
    """An environment, and the command line in it."""

    capsys: pytest.CaptureFixture[str]

    def run(self, *words: str) -> str:
        code = cli.main(["models", *words])
        said = self.capsys.readouterr()
        assert code == 0, said.err
        return said.out

    def json(self, *words: str):
        return json.loads(self.run(*words, "--json"))

    def fails(self, *words: str, code: int = cli.EX_ERROR) -> str:
        assert cli.main(["models", *words]) == code
        said = self.capsys.readouterr()
        assert said.err.count("\n") == 1
        return said.err

    def serves(self, **asking_p99_s: float) -> None:
        """Tell how long models take to answer, as a worker of `predict` does."""
        name = metric_list.MODEL_ASKING_SECONDS.name
        samples = {f'{name}{{model="{model}"}}': p99_s for model, p99_s in asking_p99_s.items()}
        told = Telemetry("predict-0", pid=7, at=0, samples=samples)
        self.produce(topics.TELEMETRY, msgspec.json.encode(told), b"predict-0")

    def parts(self) -> dict[str, tuple[str, str]]:
        return {row["model"]: (row["state"], row["role"]) for row in self.json("ls")}


@pytest.fixture
def desk_of(kafka, tmp_path, monkeypatch, capsys):
    made = Desk(kafka.bootstrap, tmp_path)
    made.capsys = capsys
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    return made


def test_a_promotion_and_its_rollback_are_told_with_who_and_why(desk_of):
    before = desk_of.parts()
    said = desk_of.run("promote", CHALLENGER, "--why", "better [by .02]")
    promoted = desk_of.parts()
    shown = desk_of.json("show", CHAMPION)
    desk_of.run("rollback", "--why", "worse")

    assert [*before.items()] == [
        (CHAMPION, ("production", "champion")),
        (CHALLENGER, ("staging", "challenger")),
    ]
    assert said == f"{CHALLENGER} serves now, not {CHAMPION}\n"
    assert promoted == {
        CHALLENGER: ("production", "champion"),
        CHAMPION: ("staging", "challenger"),
    }
    assert (shown["aliases"], shown["learned"]) == (["challenger", "previous"], N_LEARNED)
    assert (shown["first"], shown["through"]) == (0, N_LEARNED - 1)
    assert shown["parameters"]["LogisticRegression.optimizer"] == "SGD"
    assert f"offsets 0 to {N_LEARNED - 1}" in desk_of.run("show", CHAMPION)
    assert [each["kind"] for each in shown["history"]] == ["promoted"]
    assert desk_of.parts() == before
    decided = desk_of.json("history")
    assert [(each["kind"], each["model"], each["replaces"]) for each in decided] == [
        ("promoted", CHALLENGER, CHAMPION),
        ("rolled_back", CHAMPION, CHALLENGER),
    ]
    assert {each["by"] for each in decided} == {desk.operator()}
    assert [each["why"] for each in decided] == ["better [by .02]", "worse"]
    assert "better [by .02]" in desk_of.run("history")
    assert len(desk_of.json("history", "--limit", "1")) == 1


def test_what_cannot_be_done_is_said_in_a_line_with_what_there_is(desk_of):
    there_are = f"there are {CHAMPION}, {CHALLENGER}"
    said = {
        f"no model `tree`: {there_are}": ("promote", "tree", "--why", "w"),
        f"no model `{CHALLENGER}@7`: {there_are}": ("promote", f"{CHALLENGER}@7", "--why", "w"),
        f"{CHAMPION} is the champion already": ("promote", CHAMPION, "--why", "w"),
        "nothing to roll back to": ("rollback", "--why", "w"),
        "--why": ("promote", CHALLENGER),
        "must say something": ("promote", CHALLENGER, "--why", " "),
        f"no snapshot of `tree` on `models`: there are {CHAMPION}, ": ("show", "tree"),
    }
    for expected, words in said.items():
        assert expected in desk_of.fails(*words)

    desk_of.produce(topics.MODELS, None, CHALLENGER.encode())
    assert "has no snapshot" in desk_of.fails("promote", CHALLENGER, "--why", "w")
    assert desk_of.json("history") == []


def test_who_comes_second_is_told_who_was_faster_and_fails(desk_of, monkeypatch):
    make = decisions.promotion

    def slowly(*args, **said) -> Deployment:
        """While somebody looks, somebody else decides."""
        event = make(*args, **said)
        faster = msgspec.structs.replace(event, by="bob@desk")
        assert log.append(desk_of.settings, faster, "/test").refusal is None
        return event

    monkeypatch.setattr(decisions, "promotion", slowly)
    said = desk_of.fails("promote", CHALLENGER, "--why", "w", code=EX_REFUSED)

    assert f"refused: bob@desk promoted {CHALLENGER} meanwhile, at 20" in said
    assert desk_of.run("history").count("meanwhile") == 1
    assert [each["took_effect"] for each in desk_of.json("history")] == [True, False]
    assert desk_of.json("history")[1]["faster"]["by"] == "bob@desk"


def test_of_many_who_decide_at_once_exactly_one_wins(desk_of):
    """Each round all have seen the same; what they want differs."""
    for _ in range(3):
        registry = desk_of.log().registry
        roles = registry.roles(PIPELINE.models)
        (other,) = {CHAMPION, CHALLENGER} - {roles.champion}
        events = [
            decisions.promotion(
                PIPELINE, registry, other, at=0, by=f"rival-{number}", why="at once"
            )
            for number in range(N_RIVALS)
        ]
        with ThreadPoolExecutor(N_RIVALS) as pool:
            entries = list(
                pool.map(lambda event: log.append(desk_of.settings, event, "/test"), events)
            )

        (winner,) = [each for each in entries if each.refusal is None]
        losers = [each for each in entries if each.refusal is not None]
        for loser in losers:
            assert loser.refusal is not None
            assert loser.refusal.faster is not None
            assert loser.refusal.faster.event == winner.event
        assert desk_of.log().registry.roles(PIPELINE.models).champion == other


def test_of_two_commands_at_once_exactly_one_promotes(desk_of):
    command = [sys.executable, "-m", "agents.cli", "models", "promote", CHALLENGER, "--why", "now"]
    rivals = [
        subprocess.Popen(command, env=os.environ | desk_of.env, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [rival.communicate(timeout=60)[1] for rival in rivals]
    codes = sorted(rival.returncode for rival in rivals)

    # Whoever looked when it was over is told so, too.
    assert codes in ([0, EX_REFUSED], [0, cli.EX_ERROR]), told
    assert [each["took_effect"] for each in desk_of.json("history")].count(True) == 1


def test_a_version_is_shown_promoted_put_away_and_compared(desk_of):
    version = desk_of.keep(CHALLENGER)
    before = desk_of.parts()
    desk_of.run("promote", version, "--why", "w")
    while_champion = desk_of.parts()
    for role in ("the champion", "`previous`"):
        assert f"is {role}" in desk_of.fails("archive", version, "--why", "w")
        desk_of.run("promote", CHALLENGER if role == "the champion" else CHAMPION, "--why", "w")
    desk_of.run("archive", version, "--why", "w")

    assert before[version] == ("development", "retired")
    assert while_champion[version] == ("production", "champion")
    assert while_champion[CHALLENGER] == ("staging", "challenger")
    assert desk_of.parts()[version] == ("archived", "retired")
    assert "goes on learning" in desk_of.fails("archive", CHAMPION, "--why", "w")
    assert f"no model `{version}`" in desk_of.fails("promote", version, "--why", "w")
    differing = desk_of.json("diff", version, CHALLENGER)
    assert differing["state"] == ["archived", "staging"]
    assert "learned" not in differing
    assert "archived" in desk_of.run("diff", version, CHALLENGER)
    assert "no snapshot of `tree`" in desk_of.fails("diff", version, "tree")


def test_a_wish_to_keep_a_version_is_noted_for_the_learner(desk_of):
    said = desk_of.run("keep", CHAMPION, "--why", "a good week")

    assert said == f"`learn` keeps a version of {CHAMPION} with its next outcome\n"
    assert [*desk_of.log().registry.wanted] == [CHAMPION]
    assert "no model `tree`" in desk_of.fails("keep", "tree", "--why", "w")


def test_an_exported_snapshot_is_the_signed_one_and_its_manifest_stands_beside_it(
    desk_of, tmp_path
):
    version = desk_of.keep(CHALLENGER)
    told = desk_of.json("export", version, str(tmp_path / "backup"))
    path = tmp_path / "backup" / f"{version}.snapshot"
    ours = {"model": CHALLENGER, "schema": FOLD.schema, "target": PIPELINE.label.target}
    snapshot = decode(path.read_bytes(), Verifier([desk_of.signer.public_pem()]), **ours)

    assert told == {"snapshot": str(path), "bytes": path.stat().st_size}
    assert snapshot.learner.n_learned == N_LEARNED
    assert json.loads(path.with_suffix(".json").read_text())["version"] == N_LEARNED
    assert "File exists" in desk_of.fails("export", version, str(tmp_path / "backup"))
    assert "no snapshot of `tree`" in desk_of.fails("export", "tree", str(tmp_path))


def test_a_rollout_is_stepped_shown_and_stopped(desk_of, monkeypatch):
    monkeypatch.setenv("THALWEG_PIPELINE", "tests.agents.deployments.test_rollouts")

    def experiments(*words):
        code = cli.main(["experiments", *words])
        return code, desk_of.capsys.readouterr()

    before = json.loads(experiments("show", "--json")[1].out)
    stepped = experiments("step", "--why", "nothing of note")[1].out
    experiments("step", "--exposure", "0.4", "--why", "further")
    after = json.loads(experiments("show", "--json")[1].out)
    desk_of.serves(**{CHAMPION: 0.0004, CHALLENGER: 0.0041})
    too_slow = experiments("show")[1].out
    listed = desk_of.run("ls")
    stopped = experiments("stop", "--why", "not better")[1].out
    code, late = experiments("step", "--why", "too late")

    assert (before["stage"], before["exposure"], before["next"]) == ("shadow", 0.0, 0.05)
    assert stepped == "tree has an exposure of 0.05 now\n"
    assert (after["stage"], after["exposure"], after["next"]) == ("ab", 0.4, 0.5)
    assert [(each["why"], each["exposure"]) for each in after["history"]] == [
        ("nothing of note", 0.05),
        ("further", 0.4),
    ]
    assert before["may_not_serve"] is None
    assert f"{CHALLENGER} may not serve: it takes 4.1 ms to answer" in " ".join(too_slow.split())
    assert [line.count("too slow to serve") for line in listed.splitlines()[1:3]] == [0, 1]
    assert stopped == "tree is over\n"
    assert "not better" in experiments("show")[1].out
    assert (code, late.err.count("stopped tree")) == (cli.EX_ERROR, 1)
