"""The page's heartbeat: fold what came in, and tell it at once to everyone who listens."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

import orjson

from agents.serving.feed import Feed
from agents.serving.overview import Overview
from agents.serving.sketch_feed import SketchFeed
from schemas.alerts import Alert
from schemas.telemetry import Telemetry

logger = logging.getLogger(__name__)

BEAT_S: Final = 1.0
"""Also when nothing comes, the clock goes on."""
LEAST_S: Final = 0.15
"""Between two frames: each process speaks at a moment of its own."""
LOOK_S: Final = 0.05
CHUNK: Final = 200
"""Records folded before others get a turn: a start reads a quarter of an hour at once."""


class Pulse:
    """Makes one frame whenever something came, however many pages listen."""

    def __init__(self, feed: Feed, sketches: SketchFeed, overview: Overview) -> None:
        self.is_beating = False
        self._feed = feed
        self._sketches = sketches
        self._overview = overview
        self._frame = b""
        self._beat = asyncio.Condition()

    async def run(self) -> None:
        """Beat until cancelled; if a frame cannot be made it is over, and whoever asks is told."""
        try:
            await self._run()
        except Exception:
            logger.exception("there are no frames any more")
            raise
        finally:
            self.is_beating = False

    async def _run(self) -> None:
        told_at_s = -BEAT_S
        has_news = False
        while True:
            # Before the past is folded there is no present to tell.
            self.is_beating = self._feed.is_caught_up
            has_news |= await self._fold()
            waited_s = time.monotonic() - told_at_s
            if self.is_beating and waited_s >= (LEAST_S if has_news else BEAT_S):
                told_at_s += waited_s
                has_news = False
                self._overview.shifts = self._sketches.told()
                self._frame = orjson.dumps(self._overview.frame(now_ms()))
                async with self._beat:
                    self._beat.notify_all()
                await asyncio.sleep(LEAST_S)
            else:
                await asyncio.sleep(LOOK_S)

    async def frames(self) -> AsyncIterator[str]:
        """Tell the newest frame at once, then each new one."""
        while True:
            if self._frame:
                yield self._frame.decode()
            async with self._beat:
                await self._beat.wait()

    async def _fold(self) -> bool:
        """Take in what is there; tell whether there was anything."""
        came = False
        while records := list(self._feed.drain(CHUNK)):
            came = True
            for record in records:
                if isinstance(record, Telemetry):
                    self._overview.fold(record, now_ms())
                elif isinstance(record, Alert):
                    self._overview.fold_alert(record)
                else:
                    self._overview.fold_deployment(*record)
            await asyncio.sleep(0)
        return came


def now_ms() -> int:
    """Tell the wall time."""
    return time.time_ns() // 1_000_000
