"""Restart agents that failed, at once, every time."""

import asyncio
from contextlib import nullcontext
from typing import Any, Final

from mode import OneForOneSupervisor, ServiceT

APART_S: Final = 0.05
"""Agents that fail for other reasons than a batch are restarted at most so often."""


class PromptSupervisor(OneForOneSupervisor):
    """Notices each failure of an agent as it happens.

    Faust's own starts the replacement's task, but not the service around it, and takes it for one
    that is yet to be started when it fails in turn: every restart but the first comes with its
    next look around, up to five seconds later. When to try again is for the stream to say
    (`agents.kafka.stream.pause_s`).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Faust's own ends the worker, without a reason, when two restarts follow quickly.
        self._bucket: Any = nullcontext()
        self._not_before_s = 0.0

    async def restart_service(self, service: ServiceT) -> None:
        """Replace an agent's actor that failed, unless that is what the worker ends for."""
        actor: Any = service
        if actor.agent.app.failure is not None:
            return  # the worker ends, and what failed would fail again until then
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(self._not_before_s - loop.time(), 0))
        self._not_before_s = loop.time() + APART_S
        at = self._index[service]
        await super().restart_service(service)
        await self._services[at].maybe_start()
