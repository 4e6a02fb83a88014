"""The page's heartbeat: once a second, fold what came in and tell it to everyone who listens."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

import orjson

from agents.serving.feed import Feed
from agents.serving.overview import Overview
from schemas.alerts import Alert
from schemas.telemetry import Telemetry

BEAT_S: Final = 1.0
CHUNK: Final = 200
"""Records folded before others get a turn: a start reads a quarter of an hour at once."""


class Pulse:
    """Makes one frame per second, however many pages listen."""

    def __init__(self, feed: Feed, overview: Overview) -> None:
        self.is_beating = False
        self._feed = feed
        self._overview = overview
        self._frame = b""
        self._beat = asyncio.Condition()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            # Before the past is folded there is no present to tell.
            self.is_beating = self._feed.is_caught_up
            await self._fold()
            if self.is_beating:
                self._frame = orjson.dumps(self._overview.frame(now_ms()))
                async with self._beat:
                    self._beat.notify_all()
            await asyncio.sleep(BEAT_S)

    async def frames(self) -> AsyncIterator[str]:
        """Tell the newest frame at once, then each new one."""
        while True:
            if self._frame:
                yield self._frame.decode()
            async with self._beat:
                await self._beat.wait()

    async def _fold(self) -> None:
        while records := list(self._feed.drain(CHUNK)):
            for record in records:
                if isinstance(record, Telemetry):
                    self._overview.fold(record, now_ms())
                elif isinstance(record, Alert):
                    self._overview.fold_alert(record)
                else:
                    self._overview.fold_deployment(*record)
            await asyncio.sleep(0)


def now_ms() -> int:
    """Tell the wall time."""
    return time.time_ns() // 1_000_000
