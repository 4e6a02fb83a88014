"""The command line: quick, helpful, and never a traceback."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from agents import cli
from agents.commands import reference
from schemas.errors import InvalidSetting, ThalwegError

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    *("river", "faust", "pydantic", "confluent_kafka", "numpy", "redis", "cyclopts", "rich"),
    *("mlflow", "pandas", "opentelemetry"),
)
HELP_BUDGET_S = 0.3
EVERY_COMMAND = [" ".join(words) for words in reference.commands()]


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )


def failing_with(error: BaseException) -> object:
    def application() -> object:
        def run(_tokens: list[str]) -> int:
            raise error

        return run

    return application


def test_a_bare_help_imports_nothing_heavy():
    done = python(
        "import sys; from agents.cli import main; code = main(['--help']);"
        f"print([name for name in {HEAVY} if name in sys.modules], code, file=sys.stderr)"
    )

    assert done.stdout == cli.overview()
    assert done.stderr == "[] 0\n"


def test_a_bare_help_answers_within_its_budget():
    def cpu_seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        python("from agents.cli import main; main(['--help'])")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    # Not by the clock: others may be busy on this machine.
    assert min(cpu_seconds() for _ in range(3)) < HELP_BUDGET_S


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_the_help_of_a_command_imports_nothing_heavy(command):
    module = command.import_path.partition(":")[0]
    heavy = set(HEAVY) - {"cyclopts", "rich"}

    done = python(f"import sys, {module}; print(sorted({heavy} & sys.modules.keys()))")

    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("command", EVERY_COMMAND)
def test_every_help_page_has_an_example_of_the_command(command):
    page = reference.help_page(command.split())

    examples = page.partition("For example:")[2]
    assert f"thalweg {command}" in examples


def test_the_overview_names_every_command():
    assert [line.split()[0] for line in cli.overview().splitlines() if line.startswith("    ")][
        : len(cli.COMMANDS)
    ] == [command.name for command in cli.COMMANDS]


def test_the_reference_is_what_help_says():
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == reference.markdown()


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["learn"], "Unknown command"),
        (["replay"], "requires an argument"),
        (["up", "--rats", "5"], "--rats"),
        (["worker", "predict", "--slot", "first"], "--slot"),
        (["worker", "dance"], "dance"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_a_failure(tokens, expected, capsys):
    code = cli.main(tokens)

    said = capsys.readouterr()
    assert code == cli.EX_ERROR
    assert expected in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_a_wrong_setting_is_one_line_that_names_it(monkeypatch, capsys):
    monkeypatch.setenv("THALWEG_WEB_PORT", "99999")

    code = cli.main(["topics", "ls"])

    said = capsys.readouterr()
    assert code == cli.EX_CONFIG
    assert said.err.startswith("thalweg: THALWEG_WEB_PORT: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ThalwegError("the broker\n is away"), cli.EX_ERROR),
        (InvalidSetting("THALWEG_X: no"), cli.EX_CONFIG),
    ],
)
def test_an_error_of_ours_is_one_line_and_its_exit_code(error, code, monkeypatch, capsys):
    monkeypatch.setattr(cli, "application", failing_with(error))

    assert cli.main(["doctor"]) == code
    assert capsys.readouterr().err == f"thalweg: {' '.join(str(error).split())}\n"


def test_a_bug_is_not_hidden(monkeypatch):
    monkeypatch.setattr(cli, "application", failing_with(ZeroDivisionError()))

    with pytest.raises(ZeroDivisionError):
        cli.main(["doctor"])


def test_ctrl_c_is_quiet(monkeypatch, capsys):
    monkeypatch.setattr(cli, "application", failing_with(KeyboardInterrupt()))

    assert cli.main(["doctor"]) == cli.EX_INTERRUPTED
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "arguments",
    [
        "up --kafka-port 99999",
        "up --kafka-port 0",
        "up --kafka-port 29092 --redis-port 29092",
        "up --rate -5",
        "up --rate nan",
        "up --limit -1",
        "up --predict-workers 0",
        "up --predict-workers 6",
        "worker predict --slot -1",
        "dead-letters ls not_json --limit -1",
    ],
)
def test_a_number_out_of_bounds_is_one_line_and_starts_nothing(arguments, capsys):
    assert cli.main(arguments.split()) in (cli.EX_ERROR, cli.EX_CONFIG)

    assert capsys.readouterr().err.count("\n") == 1
