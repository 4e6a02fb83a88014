"""What a proxy does to the messages that a rule takes."""

import asyncio
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

Direction = Literal["request", "response"]

PRODUCE: Final = 0
FETCH: Final = 1
ADD_PARTITIONS_TO_TXN: Final = 24
ADD_OFFSETS_TO_TXN: Final = 25
END_TXN: Final = 26
TXN_OFFSET_COMMIT: Final = 28
"""Api keys: https://kafka.apache.org/protocol#protocol_api_keys."""


class Message(NamedTuple):
    """What a proxy knows of one message."""

    direction: Direction
    api_key: int


class LinkCut(Exception):
    """The connection ends here; so many bytes of the message still pass."""

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        super().__init__(f"cut after {n_bytes} bytes")


@dataclass(eq=False, kw_only=True)
class Rule:
    """Which messages are taken.

    Parameters
    ----------
    direction, api_key
        By default both and any.
    skip, times
        Let so many pass first, then take so many; by default all.
    """

    direction: Direction | None = None
    api_key: int | None = None
    skip: int = 0
    times: int | None = None
    n_taken: int = field(default=0, init=False)
    _ended: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def takes(self, message: Message) -> bool:
        """Tell whether a message is this rule's, and count it."""
        if self.direction not in {None, message.direction}:
            return False
        if self.api_key not in {None, message.api_key} or self.n_taken == self.times:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.n_taken += 1
        return True

    async def treat(self, n_bytes: int) -> None:
        """Return when a message of so many bytes may pass; raise `LinkCut` when it may not."""
        raise NotImplementedError

    def end(self) -> None:
        """Let go whatever is waiting. In the proxy's loop only."""
        self._ended.set()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            pass


@dataclass(eq=False, kw_only=True)
class Delay(Rule):
    """Let each message pass after a while; those behind it on its connection wait, too."""

    seconds: float

    async def treat(self, n_bytes: int) -> None:
        """Wait."""
        await self._sleep(self.seconds)


@dataclass(eq=False, kw_only=True)
class Rate(Rule):
    """Let so many bytes pass in a second, on each connection and in each direction."""

    bytes_per_s: float

    async def treat(self, n_bytes: int) -> None:
        """Wait for as long as the message takes."""
        await self._sleep(n_bytes / self.bytes_per_s)


@dataclass(eq=False, kw_only=True)
class Hold(Rule):
    """Let messages pass when the rule ends; those behind them on their connection wait, too."""

    async def treat(self, n_bytes: int) -> None:
        """Wait for the end."""
        await self._ended.wait()


@dataclass(eq=False, kw_only=True)
class Blackhole(Rule):
    """Swallow messages without a word; their connections are reset when the rule ends."""

    async def treat(self, n_bytes: int) -> None:
        """Wait for the end, in vain."""
        await self._ended.wait()
        raise LinkCut(0)


@dataclass(eq=False, kw_only=True)
class Cut(Rule):
    """Reset the connection, after some bytes of the message."""

    after_bytes: int = 0

    async def treat(self, n_bytes: int) -> None:
        """Refuse."""
        raise LinkCut(min(self.after_bytes, n_bytes))
