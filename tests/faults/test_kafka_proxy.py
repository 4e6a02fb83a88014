"""The proxy forwards everything, unless a rule says otherwise; then it does just that."""

import socket
import socketserver
import struct
import threading
import time
from contextlib import suppress

import pytest

from tests.faults.kafka_proxy import KafkaProxy
from tests.faults.proxy_rules import Blackhole, Cut, Delay, Hold, Message, Rate
from tests.waiting import wait_until

ECHOED, OTHER = 26, 3


class Broker(socketserver.ThreadingTCPServer):
    """Answers each request with its own payload, and remembers it."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answering)
        self.requests = []


class Answering(socketserver.StreamRequestHandler):
    def handle(self):
        with suppress(ConnectionError):
            self.answer()

    def answer(self):
        while length := self.rfile.read(4):
            body = self.rfile.read(int.from_bytes(length))
            api_key, _, correlation_id = struct.unpack_from(">hhi", body)
            self.server.requests.append((api_key, body[8:]))  # type: ignore[attr-defined]
            answer = struct.pack(">i", correlation_id) + body[8:]
            self.wfile.write(struct.pack(">i", len(answer)) + answer)


class Client:
    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._file = self._socket.makefile("rb")
        self._n_sent = 0

    def send(self, api_key, payload):
        self._n_sent += 1
        body = struct.pack(">hhi", api_key, 0, self._n_sent) + payload
        self._socket.sendall(struct.pack(">i", len(body)) + body)

    def receive(self):
        """Read a payload; what ends early is returned as far as it came."""
        length = int.from_bytes(self._file.read(4))
        return self._file.read(length)[4:]

    def ask(self, api_key, payload):
        self.send(api_key, payload)
        return self.receive()

    def hears_nothing(self, seconds=0.1):
        self._socket.settimeout(seconds)
        try:
            with pytest.raises(TimeoutError):
                self._socket.recv(1, socket.MSG_PEEK)
        finally:
            self._socket.settimeout(10)
        return True

    def is_reset(self):
        with pytest.raises(ConnectionResetError):
            self._socket.recv(1)
        return True

    def close(self):
        self._file.close()
        self._socket.close()


@pytest.fixture
def broker():
    with Broker() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(broker):
    with KafkaProxy(broker.server_address[1]) as made:
        yield made


@pytest.fixture
def connect(proxy):
    clients = []

    def make():
        clients.append(Client(proxy.port))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_messages_of_any_size_pass_and_are_counted(proxy, connect):
    client, payload = connect(), bytes(300_000)
    answers = [client.ask(ECHOED, b""), client.ask(OTHER, payload)]

    assert answers == [b"", payload]
    assert proxy.seen == {
        Message("request", ECHOED): 1,
        Message("response", ECHOED): 1,
        Message("request", OTHER): 1,
        Message("response", OTHER): 1,
    }


def test_a_held_message_waits_and_so_do_those_behind_it_but_no_other_connection(
    proxy, connect, broker
):
    held, free = connect(), connect()
    with proxy.rule(Hold(direction="request", api_key=ECHOED, times=1)) as rule:
        held.send(ECHOED, b"first")
        wait_until(lambda: rule.n_taken == 1)
        held.send(OTHER, b"behind")
        answers = [free.ask(ECHOED, b"another")]
        assert held.hears_nothing()
        assert broker.requests == [(ECHOED, b"another")]
    answers += [held.receive(), held.receive()]

    assert answers == [b"another", b"first", b"behind"]


def test_a_held_request_arrives_though_its_client_is_gone(proxy, connect, broker):
    with proxy.rule(Hold(direction="request", api_key=ECHOED)) as rule:
        client = connect()
        client.send(ECHOED, b"late")
        wait_until(lambda: rule.n_taken == 1)
        proxy.cut_clients()
        assert client.is_reset()
        assert broker.requests == []
    wait_until(lambda: proxy.seen[Message("response", ECHOED)] == 1)

    assert broker.requests == [(ECHOED, b"late")]
    assert connect().ask(OTHER, b"again") == b"again"


def test_a_cut_resets_the_connection_before_or_within_a_message(proxy, connect, broker):
    with proxy.rule(Cut(direction="request", api_key=ECHOED)):
        client = connect()
        client.send(ECHOED, b"never")
        assert client.is_reset()
    with proxy.rule(Cut(direction="response", api_key=ECHOED, after_bytes=10)):
        client = connect()
        client.send(ECHOED, b"cut short")
        assert client._socket.recv(100, socket.MSG_WAITALL) == struct.pack(">ii", 13, 1) + b"cu"

    assert broker.requests == [(ECHOED, b"cut short")]
    assert connect().ask(ECHOED, b"again") == b"again"


@pytest.mark.parametrize(("direction", "n_arrived"), [("request", 0), ("response", 1)])
def test_a_blackhole_swallows_one_way_and_resets_when_it_ends(
    proxy, connect, broker, direction, n_arrived
):
    with proxy.rule(Blackhole(direction=direction)) as rule:
        client = connect()
        client.send(ECHOED, b"lost")
        wait_until(lambda: rule.n_taken == 1)
        assert client.hears_nothing()
        assert len(broker.requests) == n_arrived
    assert client.is_reset()

    assert len(broker.requests) == n_arrived
    assert connect().ask(ECHOED, b"again") == b"again"


@pytest.mark.parametrize(
    "rule", [Delay(direction="request", seconds=0.2), Rate(direction="request", bytes_per_s=560)]
)
def test_delay_and_rate_take_their_time(proxy, connect, rule):
    client = connect()
    with proxy.rule(rule):
        started_at = time.monotonic()
        answer = client.ask(ECHOED, bytes(100))

        assert answer == bytes(100)
        assert time.monotonic() - started_at >= 0.19


def test_who_comes_while_the_broker_is_away_is_reset(free_port):
    def meet(port):
        client.connect(("127.0.0.1", port))
        client.recv(1)

    with (
        KafkaProxy(free_port()) as proxy,
        socket.socket() as client,
        pytest.raises(ConnectionResetError),
    ):
        meet(proxy.port)
