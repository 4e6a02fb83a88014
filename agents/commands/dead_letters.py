"""`thalweg dead-letters`."""

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from agents.commands.flag import Count, Flag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents.admin.set_aside import DeadLetter
    from schemas.dead_letters import Verdict

All = Annotated[bool, Parameter(name="--all", show_default=False)]

app = App(
    name="dead-letters",
    help="""See what could not be processed, and why; publish it again, or drop it.

For example:

    thalweg dead-letters ls
    thalweg dead-letters show 17
    thalweg dead-letters retry 17
    thalweg dead-letters drop --reason not_json
""",
)


@app.command
def ls(
    reason: str | None = None, /, *, everything: All = False, limit: Count = 20, json: Flag = False
) -> int:
    """Count what is set aside by reason, or list what is set aside for one reason.

    For example:

        thalweg dead-letters ls
        thalweg dead-letters ls not_json --limit 5
        thalweg dead-letters ls --all
        thalweg dead-letters ls --json

    Parameters
    ----------
    reason
        List the newest records of this reason.
    everything
        Those that were published again or dropped, too.
    limit
        At most so many of them.
    json
        Write the answer as JSON.
    """
    from collections import deque  # noqa: PLC0415  # --help stays quick

    from agents import settings  # noqa: PLC0415
    from agents.admin import set_aside  # noqa: PLC0415
    from agents.commands.output import local_time, write_json, write_table  # noqa: PLC0415

    letters = (x for x in set_aside.read(settings.load()) if everything or x.fate is None)
    if reason is None:
        return _summary(letters, everything=everything, json=json)
    listed = deque((letter for letter in letters if letter.reason == reason), maxlen=limit)
    if json:
        write_json([_as_json(letter) for letter in listed])
    else:
        write_table(
            ("offset", "at", "from", "retries", *(("fate",) if everything else ()), "detail"),
            [
                (
                    *(each.offset, local_time(each.at), each.origin, each.n_retries),
                    *((_verdict(each),) if everything else ()),
                    each.detail,
                )
                for each in listed
            ],
        )
    return 0


@app.command
def show(offset: int, /, *, json: Flag = False) -> int:
    """Show one record that was set aside: where it came from, why, and its original bytes.

    For example:

        thalweg dead-letters show 17
        thalweg dead-letters show 17 --json

    Parameters
    ----------
    offset
        Where it stands in `dead-letters`, as `ls` tells.
    json
        Write the answer as JSON.
    """
    from agents import settings  # noqa: PLC0415  # --help stays quick
    from agents.admin import set_aside  # noqa: PLC0415
    from agents.commands.output import console, local_time, write_json  # noqa: PLC0415
    from schemas.errors import ThalwegError  # noqa: PLC0415

    found = next((x for x in set_aside.read(settings.load()) if x.offset == offset), None)
    if found is None:
        raise ThalwegError(f"no record at offset {offset} of `dead-letters`")
    if json:
        write_json(_as_json(found))
        return 0
    described = {
        "offset": str(found.offset),
        "at": local_time(found.at),
        "reason": found.reason,
        "detail": found.detail,
        "from": found.origin,
        "retries": str(found.n_retries),
        "fate": _verdict(found),
        "key": set_aside.text(found.key),
        "value": set_aside.text(found.value),
    }
    for name, value in described.items():
        # Not as markup: the bytes are whatever somebody sent.
        console().print(f"{name:<8}{'-' if value is None else value}", markup=False)
    return 0


@app.command
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


@app.command
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


def _summary(letters: "Iterable[DeadLetter]", *, everything: bool, json: bool) -> int:
    from collections import Counter  # noqa: PLC0415  # --help stays quick

    from agents.commands.output import local_time, write_json, write_table  # noqa: PLC0415

    counts: dict[str, Counter[str]] = {}
    newest: dict[str, DeadLetter] = {}
    for letter in letters:
        counts.setdefault(letter.reason, Counter())[_verdict(letter)] += 1
        newest[letter.reason] = letter
    verdicts = ("open", "retried", "dropped") if everything else ("open",)
    reasons = sorted(counts, key=lambda reason: -counts[reason].total())
    if json:
        write_json(
            {
                reason: {verdict: counts[reason][verdict] for verdict in verdicts}
                if everything
                else counts[reason]["open"]
                for reason in reasons
            }
        )
    else:
        write_table(
            ("reason", *verdicts, "newest", "at", "detail"),
            [
                (
                    reason,
                    *(counts[reason][verdict] for verdict in verdicts),
                    last.offset,
                    local_time(last.at),
                    last.detail,
                )
                for reason in reasons
                for last in [newest[reason]]
            ],
        )
    return 0


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

    found = [letter for letter in set_aside.read(settings.load()) if is_meant(letter)]
    if missing := wanted - {letter.offset for letter in found}:
        raise ThalwegError(f"no record at offset {min(missing)} of `dead-letters`")
    for letter in found:
        if letter.fate is not None:
            raise ThalwegError(f"dead letter {letter.offset} was {letter.fate.verdict} before")
    return found


def _settle(letters: "list[DeadLetter]", verdict: "Verdict", *, yes: bool, json: bool) -> int:
    from agents import settings  # noqa: PLC0415  # --help stays quick
    from agents.admin.settle import settle  # noqa: PLC0415
    from agents.commands.output import write_json  # noqa: PLC0415

    if len(letters) > 1 and not yes and not _confirmed(len(letters), verdict):
        sys.stderr.write("nothing done\n")
        return 1
    n_settled = sum(settle(settings.load(), letters, verdict))
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


def _verdict(letter: "DeadLetter") -> str:
    return "open" if letter.fate is None else letter.fate.verdict


def _as_json(letter: "DeadLetter") -> dict[str, object]:
    from agents.admin import set_aside  # noqa: PLC0415  # --help stays quick

    return {
        "offset": letter.offset,
        "at": letter.at,
        "reason": letter.reason,
        "detail": letter.detail,
        "origin": letter.origin,
        "key": set_aside.text(letter.key),
        "value": set_aside.text(letter.value),
        "headers": [[name, set_aside.text(value)] for name, value in letter.headers],
        "retries": letter.n_retries,
        "fate": None
        if letter.fate is None
        else {"verdict": letter.fate.verdict, "at": letter.fate.at},
    }
