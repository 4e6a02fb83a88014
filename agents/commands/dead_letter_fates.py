"""`thalweg dead-letters retry` and `drop`."""

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from agents.commands.flag import Flag

if TYPE_CHECKING:
    from agents.admin.set_aside import DeadLetter
    from schemas.dead_letters import Verdict

All = Annotated[bool, Parameter(name="--all", show_default=False)]


def retry(
    *offsets: int,
    reason: str | None = None,
    everything: All = False,
    yes: Flag = False,
    json: Flag = False,
) -> int:
    """Publish records again: the original bytes, to the partition they came from.

    Each goes back once, whoever else tries. It comes after what was published since. If it cannot
    be processed this time either, it is a new dead letter, which says how often it was tried.

    For example:

        thalweg dead-letters retry 17
        thalweg dead-letters retry --reason processing_failed    # after a release that mends it
        thalweg dead-letters retry --all --yes

    Parameters
    ----------
    offsets
        Where they stand in `dead-letters`, as `ls` tells.
    reason
        All that were set aside for this reason and are open.
    everything
        All that are open.
    yes
        Do not ask.
    json
        Write the answer as JSON.
    """
    letters = _chosen(offsets, reason, everything=everything)
    return _settle(letters, "retried", yes=yes, json=json)


def drop(
    *offsets: int,
    reason: str | None = None,
    everything: All = False,
    yes: Flag = False,
    json: Flag = False,
) -> int:
    """Note that nothing is to be done about records; `ls --all` still shows them.

    For example:

        thalweg dead-letters drop 17 18
        thalweg dead-letters drop --reason not_json
        thalweg dead-letters drop --all --yes

    Parameters
    ----------
    offsets
        Where they stand in `dead-letters`, as `ls` tells.
    reason
        All that were set aside for this reason and are open.
    everything
        All that are open.
    yes
        Do not ask.
    json
        Write the answer as JSON.
    """
    letters = _chosen(offsets, reason, everything=everything)
    return _settle(letters, "dropped", yes=yes, json=json)


def _chosen(
    offsets: tuple[int, ...], reason: str | None, *, everything: bool
) -> "list[DeadLetter]":
    """Find the open dead letters that are meant."""
    from agents import settings  # noqa: PLC0415  # --help stays quick
    from agents.admin import set_aside  # noqa: PLC0415
    from schemas.errors import ThalwegError  # noqa: PLC0415

    if [bool(offsets), reason is not None, everything].count(True) != 1:
        raise ThalwegError("say which: offsets, or `--reason REASON`, or `--all`")
    wanted = set(offsets)

    def is_meant(letter: "DeadLetter") -> bool:
        if wanted:
            return letter.offset in wanted
        return letter.fate is None and (everything or letter.reason == reason)

    return set_aside.all_open(filter(is_meant, set_aside.read(settings.load())), wanted)


def _settle(letters: "list[DeadLetter]", verdict: "Verdict", *, yes: bool, json: bool) -> int:
    from agents import settings  # noqa: PLC0415  # --help stays quick
    from agents.admin.settle import settle  # noqa: PLC0415
    from agents.commands.output import write_json  # noqa: PLC0415
    from agents.deployments import desk  # noqa: PLC0415

    if len(letters) > 1 and not yes and not _confirmed(len(letters), verdict):
        sys.stderr.write("nothing done\n")
        return 1
    n_settled = sum(settle(settings.load(), letters, verdict, by=desk.operator()))
    if json:
        write_json({verdict: n_settled})
    else:
        sys.stdout.write(f"{verdict}: {n_settled}\n")
    return 0


def _confirmed(n: int, verdict: "Verdict") -> bool:
    from schemas.errors import ThalwegError  # noqa: PLC0415  # --help stays quick

    done = "published again" if verdict == "retried" else "dropped"
    if not sys.stdin.isatty():
        raise ThalwegError(f"{n} dead letters would be {done}: say --yes")
    sys.stderr.write(f"{n} dead letters will be {done}. Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
