"""Restart agents that failed, at once, every time."""

from typing import Any

from mode import OneForOneSupervisor, ServiceT


class PromptSupervisor(OneForOneSupervisor):
    """Notices each failure of an agent as it happens.

    Faust's own starts the replacement's task, but not the service around it, and takes it for one
    that is yet to be started when it fails in turn: every restart but the first comes with its
    next look around, up to five seconds later. When to try again is for the stream to say
    (`agents.kafka.stream.pause_s`).
    """

    async def restart_service(self, service: ServiceT) -> None:
        """Replace an agent's actor that failed, unless that is what the worker ends for."""
        actor: Any = service
        if actor.agent.app.failure is not None:
            return  # the worker ends, and what failed would fail again until then
        at = self._index[service]
        await super().restart_service(service)
        await self._services[at].maybe_start()
