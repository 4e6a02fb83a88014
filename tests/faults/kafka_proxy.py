"""A TCP proxy that understands how Kafka frames its messages, and mistreats them by rules.

A broker that advertises the proxy's address is never met around it. Messages are told apart by
direction and api key; a response has the api key of its request. What a client sent still reaches
the broker when the client's connection is gone meanwhile, as it may in a network.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, Self

from agents.embedded.process import HOST, free_port
from tests.faults.proxy_rules import Direction, LinkCut, Message, Rule

ORPHAN_TIMEOUT_S: Final = 30.0
"""How long a broker's answers are awaited on behalf of a client that is gone."""
_RESET: Final = struct.pack("ii", 1, 0)
_GONE: Final = (asyncio.IncompleteReadError, ConnectionError)


class KafkaProxy:
    """Forwards connections on a port of its own to one broker.

    Runs in a thread; its methods may be called from any other.
    """

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.port = free_port()
        self.seen: Counter[Message] = Counter()
        """How many messages came by."""
        self._rules: list[Rule] = []
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ask(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()
        self._ask(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextlib.contextmanager
    def rule(self, rule: Rule) -> Iterator[Rule]:
        """Apply a rule within the block; its end lets go what the rule holds."""
        self.add(rule)
        try:
            yield rule
        finally:
            self.remove(rule)

    def add(self, rule: Rule) -> None:
        """Apply a rule from now on. The first that takes a message decides on it."""
        self._call(lambda: self._rules.append(rule))

    def remove(self, *rules: Rule) -> None:
        """No longer apply rules, and let go what they hold."""

        def end() -> None:
            self._rules = [rule for rule in self._rules if rule not in rules]
            for rule in rules:
                rule.end()

        self._call(end)

    def heal(self) -> None:
        """Remove all rules."""
        self.remove(*self._rules)

    def cut_clients(self) -> None:
        """Reset every client's connection; what they sent still arrives."""

        def cut() -> None:
            for link in self._links:
                link.cut_client()

        self._call(cut)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self._treat, reader, writer)
        self._links.add(link)
        try:
            await link.run(self.upstream_port)
        finally:
            self._links.discard(link)

    async def _treat(self, message: Message, n_bytes: int) -> None:
        self.seen[message] += 1
        rule = next((rule for rule in self._rules if rule.takes(message)), None)
        if rule is not None:
            await rule.treat(n_bytes)

    async def _close(self) -> None:
        self._server.close()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for link in self._links:
                link.cut()
            await asyncio.wait(tasks, timeout=0.05)
        await asyncio.sleep(0)  # what was reset is closed in the loop's next turn

    def _ask(self, ask: Callable[[], Any]) -> None:
        asyncio.run_coroutine_threadsafe(ask(), self._loop).result(10)

    def _call(self, call: Callable[[], object]) -> None:
        async def within() -> None:
            call()

        self._ask(within)


class _Link:
    """A client's connection, and the one to the broker that belongs to it."""

    def __init__(
        self,
        treat: Callable[[Message, int], Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._treat = treat
        self._reader = reader
        self._writer = writer
        self._unanswered: dict[int, int] = {}
        """Api keys by correlation id, of what the broker has and has not answered."""
        self._is_orphan = False
        self._upstream: asyncio.StreamWriter | None = None

    def cut_client(self) -> None:
        """Reset the client's side."""
        self._is_orphan = True
        _reset(self._writer)

    def cut(self) -> None:
        """Reset both sides."""
        self.cut_client()
        if self._upstream is not None:
            _reset(self._upstream)

    async def run(self, upstream_port: int) -> None:
        """Forward until both sides are through with each other."""
        try:
            reader, writer = await asyncio.open_connection(HOST, upstream_port)
        except OSError:
            self.cut()
            return
        self._upstream = writer
        requests = asyncio.ensure_future(self._pump("request", self._reader, writer))
        responses = asyncio.ensure_future(self._pump("response", reader, self._writer))
        try:
            await asyncio.wait({requests, responses}, return_when=asyncio.FIRST_COMPLETED)
            if requests.done() and requests.result():  # the broker still answers what it was sent
                self._is_orphan = True
                if self._unanswered:
                    await asyncio.wait({responses}, timeout=ORPHAN_TIMEOUT_S)
        finally:
            for pump in (requests, responses):
                pump.cancel()
            await asyncio.gather(requests, responses, return_exceptions=True)
            self.cut()

    async def _pump(
        self, direction: Direction, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> bool:
        """Forward until the source is gone, or else a rule says so: then tell `False`."""
        with contextlib.suppress(*_GONE):
            while not (direction == "response" and self._is_orphan and not self._unanswered):
                length = await source.readexactly(4)
                body = await source.readexactly(int.from_bytes(length))
                correlation_id, api_key = self._identify(direction, body)
                message = Message(direction, api_key)
                frame = length + body
                try:
                    await self._treat(message, len(frame))
                except LinkCut as cut:
                    sink.write(frame[: cut.n_bytes])
                    await sink.drain()
                    return False
                if direction == "request":
                    self._unanswered[correlation_id] = api_key
                if not (direction == "response" and self._is_orphan):
                    sink.write(frame)
                    await sink.drain()
        return True

    def _identify(self, direction: Direction, body: bytes) -> tuple[int, int]:
        if direction == "request":
            api_key, _, correlation_id = struct.unpack_from(">hhi", body)
            return correlation_id, api_key
        (correlation_id,) = struct.unpack_from(">i", body)
        return correlation_id, self._unanswered.pop(correlation_id)


def _reset(writer: asyncio.StreamWriter) -> None:
    if (connection := writer.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
