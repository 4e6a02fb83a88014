"""`thalweg dead-letters`."""

from typing import TYPE_CHECKING

from cyclopts import App

from agents.commands.flag import Count, Flag

if TYPE_CHECKING:
    from agents.admin.set_aside import DeadLetter

app = App(
    name="dead-letters",
    help="""See what could not be processed, and why.

For example:

    thalweg dead-letters ls
    thalweg dead-letters show 17
""",
)


@app.command
def ls(reason: str | None = None, /, *, limit: Count = 20, json: Flag = False) -> int:
    """Count what was set aside by reason, or list what was set aside for one reason.

    For example:

        thalweg dead-letters ls
        thalweg dead-letters ls not_json --limit 5
        thalweg dead-letters ls --json

    Parameters
    ----------
    reason
        List the newest records of this reason.
    limit
        At most so many of them.
    json
        Write the answer as JSON.
    """
    from collections import Counter, deque  # noqa: PLC0415  # --help stays quick

    from agents import settings  # noqa: PLC0415
    from agents.admin import set_aside  # noqa: PLC0415
    from agents.commands.output import local_time, write_json, write_table  # noqa: PLC0415

    letters = set_aside.read(settings.load())
    if reason is None:
        counts: Counter[str] = Counter()
        newest: dict[str, DeadLetter] = {}
        for letter in letters:
            counts[letter.reason] += 1
            newest[letter.reason] = letter
        if json:
            write_json(dict(counts.most_common()))
        else:
            write_table(
                ("reason", "records", "newest", "at", "detail"),
                [
                    (name, n, newest[name].offset, local_time(newest[name].at), newest[name].detail)
                    for name, n in counts.most_common()
                ],
            )
        return 0
    listed = deque((letter for letter in letters if letter.reason == reason), maxlen=limit)
    if json:
        write_json([_as_json(letter) for letter in listed])
    else:
        write_table(
            ("offset", "at", "from", "detail"),
            [(each.offset, local_time(each.at), each.origin, each.detail) for each in listed],
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
    from agents.admin import set_aside  # noqa: PLC0415  # --help stays quick
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
        "key": set_aside.text(found.key),
        "value": set_aside.text(found.value),
    }
    for name, value in described.items():
        # Not as markup: the bytes are whatever somebody sent.
        console().print(f"{name:<8}{'-' if value is None else value}", markup=False)
    return 0


def _as_json(letter: "DeadLetter") -> dict[str, object]:
    from dataclasses import asdict  # noqa: PLC0415  # --help stays quick

    from agents.admin import set_aside  # noqa: PLC0415

    return asdict(letter) | {
        "key": set_aside.text(letter.key),
        "value": set_aside.text(letter.value),
    }
