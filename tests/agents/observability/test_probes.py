"""What a worker answers over HTTP."""

import urllib.error
import urllib.request

import pytest

from agents.observability import metric_list, probes
from agents.observability.metrics import Metrics
from schemas.errors import InvalidSetting


@pytest.fixture
def serve(free_port):
    """Serve probes on a free port; tell how to ask them."""
    servers = []

    def start(metrics=None, *, live=lambda: None, ready=lambda: None):
        port = free_port()
        registry = (metrics or Metrics()).registry
        server = probes.serve(registry, "127.0.0.1", port, live=live, ready=ready)
        assert server is not None
        servers.append(server)

        def ask(path):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as response:
                    return response.status, response.read().decode()
            except urllib.error.HTTPError as refused:
                with refused:
                    return refused.code, refused.read().decode()

        return port, ask

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_metrics_are_served_over_http(serve):
    metrics = Metrics()
    metrics.gauge(metric_list.READY).set(1)
    _, ask = serve(metrics)
    status, text = ask("/metrics")

    assert status == 200
    assert "\nthalweg_ready 1.0\n" in text
    assert "process_resident_memory_bytes" in text


@pytest.mark.parametrize("probe", ["live", "ready"])
def test_a_probe_says_why_not(serve, probe):
    why_not = None
    _, ask = serve(**{probe: lambda: why_not})
    assert ask(f"/health/{probe}") == (200, "yes\n")
    why_not = "no partitions are assigned"
    assert ask(f"/health/{probe}") == (503, "no partitions are assigned\n")


def test_any_other_path_is_not_found(serve):
    _, ask = serve()
    assert ask("/health")[0] == 404


def test_a_taken_port_ends_in_one_line_that_names_the_setting(serve):
    port, _ = serve()
    with pytest.raises(InvalidSetting, match=rf"THALWEG_METRICS_PORT: .*127\.0\.0\.1:{port}"):
        probes.serve(Metrics().registry, "127.0.0.1", port, live=str, ready=str)


def test_port_zero_serves_nothing():
    assert probes.serve(Metrics().registry, "host.invalid", 0, live=str, ready=str) is None
