"""What of Faust this transport does not do: refused where it is asked for, with what to do instead.

Each of these would seem to work, and lose records or state unseen, or wait for ever.
"""

from typing import Any, NoReturn

import faust

from schemas.errors import InvalidSetting


def refuse(what: str, why: str) -> NoReturn:
    """Say that something is not to be had."""
    raise NotImplementedError(f"{what}: {why}")


class OrdinaryAgent(faust.Agent):
    """Faust's agent without what needs a consumer for each partition, or for replies."""

    def __init__(
        self,
        *args: Any,
        channel: Any = None,
        isolated_partitions: bool = False,
        **kwargs: Any,
    ) -> None:
        if isinstance(channel, faust.Topic) and channel.pattern:
            refuse("a topic by its pattern", "topics are subscribed to by name")
        if isolated_partitions:
            refuse(
                "isolated_partitions",
                "one agent reads all partitions; `Batch.partition` or the event's message tells"
                " which",
            )
        super().__init__(*args, channel=channel, **kwargs)

    async def ask(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: nobody reads replies."""
        _refuse_replies("ask")

    def kvmap(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: nobody reads replies."""
        _refuse_replies("map")

    def map(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: nobody reads replies."""
        _refuse_replies("map")

    async def kvjoin(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: nobody reads replies."""
        _refuse_replies("join")

    async def join(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: nobody reads replies."""
        _refuse_replies("join")


class NoTables:
    """Part of an app that refuses Faust's tables: their changes would be in no transaction."""

    def Table(self, *_: Any, **__: Any) -> NoReturn:  # noqa: N802  # Faust's name
        """Refuse: see `agents.kafka.keyed_state`."""
        _refuse_table("Table")

    def GlobalTable(self, *_: Any, **__: Any) -> NoReturn:  # noqa: N802  # Faust's name
        """Refuse: see `agents.kafka.keyed_state`."""
        _refuse_table("GlobalTable")

    def SetTable(self, *_: Any, **__: Any) -> NoReturn:  # noqa: N802  # Faust's name
        """Refuse: see `agents.kafka.keyed_state`."""
        _refuse_table("SetTable")

    def SetGlobalTable(self, *_: Any, **__: Any) -> NoReturn:  # noqa: N802  # Faust's name
        """Refuse: see `agents.kafka.keyed_state`."""
        _refuse_table("SetGlobalTable")


def check_settings(conf: Any) -> None:
    """Refuse settings of Faust that take delivery out of our hands.

    Raises
    ------
    InvalidSetting
        Before anything is consumed.
    """
    if conf.stream_publish_on_commit:
        raise InvalidSetting(
            "stream_publish_on_commit: what a batch causes is published with its commit anyway"
        )
    if conf.processing_guarantee.value != "at_least_once":
        raise InvalidSetting("processing_guarantee: set `KafkaSettings.delivery` instead")
    if conf.producer_threaded:
        raise InvalidSetting("producer_threaded: the producer has a thread of its own anyway")


def _refuse_replies(what: str) -> NoReturn:
    refuse(
        f"Agent.{what}",
        "nobody reads replies; `send(reply_to=...)` publishes them to a topic of your own",
    )


def _refuse_table(what: str) -> NoReturn:
    refuse(
        what,
        "its changes would be in no transaction, and nobody would restore them; use"
        " `App(..., keyed_state=...)`, see `agents.kafka.keyed_state`",
    )
