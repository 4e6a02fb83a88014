"""`thalweg topics`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cyclopts import App

from agents.commands.flag import Flag

if TYPE_CHECKING:
    from agents.admin.topic_admin import TopicState

app = App(
    name="topics",
    help="""List the topics of this deployment, or create them.

For example:

    thalweg topics ls
    thalweg topics create
""",
)


@app.command
def ls(*, json: Flag = False) -> int:
    """List the declared topics, and where the broker's differ from them.

    For example:

        thalweg topics ls
        thalweg topics ls --json | jq -r '.[] | select(.differences != []) | .name'

    Parameters
    ----------
    json
        Write the answer as JSON.
    """
    from agents import settings  # noqa: PLC0415  # --help stays quick
    from agents.admin import topic_admin  # noqa: PLC0415  # --help stays quick

    return _show(topic_admin.states(settings.load()), json=json)


@app.command
def create(*, json: Flag = False) -> int:
    """Create the topics that are missing; what exists is left as it is.

    For example:

        thalweg topics create
        THALWEG_PARTITIONS=12 THALWEG_REPLICATION=3 thalweg topics create

    Parameters
    ----------
    json
        Write the answer as JSON.
    """
    from agents import settings  # noqa: PLC0415  # --help stays quick
    from agents.admin import topic_admin  # noqa: PLC0415  # --help stays quick

    return _show(topic_admin.create(settings.load()), json=json)


def _show(states: "Sequence[TopicState]", *, json: bool) -> int:
    from dataclasses import asdict  # noqa: PLC0415  # --help stays quick

    from agents.commands.output import write_json, write_table  # noqa: PLC0415

    if json:
        write_json([asdict(state) for state in states])
    else:
        write_table(
            ("topic", "partitions", "key", "holds", "differs"),
            [
                (s.name, s.partitions, s.key, s.meaning, "; ".join(s.differences))
                if s.partitions is not None
                else (s.name, None, s.key, s.meaning, "does not exist")
                for s in states
            ],
        )
    return 0
