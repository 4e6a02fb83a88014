"""`thalweg dead-letters`."""

from typing import TYPE_CHECKING

from cyclopts import App

from agents.commands.dead_letter_fates import All, drop, retry
from agents.commands.flag import Count, Flag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents.admin.set_aside import DeadLetter

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
        "fate": _told(found),
        "key": set_aside.text(found.key),
        "value": set_aside.text(found.value),
    }
    for name, value in described.items():
        # Not as markup: the bytes are whatever somebody sent.
        console().print(f"{name:<8}{'-' if value is None else value}", markup=False)
    return 0


app.command(retry)
app.command(drop)


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


def _verdict(letter: "DeadLetter") -> str:
    return "open" if letter.fate is None else letter.fate.verdict


def _told(letter: "DeadLetter") -> str:
    by = "" if letter.fate is None else letter.fate.by
    return f"{_verdict(letter)} by {by}" if by else _verdict(letter)


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
        else {"verdict": letter.fate.verdict, "at": letter.fate.at, "by": letter.fate.by},
    }
