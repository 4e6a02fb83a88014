"""The server over plain HTTP."""

import http.client
import json
import socket
import time
import urllib.request
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.serving.address import listen
from agents.serving.feed import Feed
from agents.serving.overview import Overview
from agents.serving.pulse import Pulse
from agents.serving.sketch_feed import SketchFeed
from agents.serving.web import web_app
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from schemas.alerts import Alert
from schemas.errors import InvalidSetting
from tests.agents.serving.conftest import MakeSite, Site, run_apart
from tests.waiting import wait_until


def get(site: Site, path: str) -> bytes:
    with urllib.request.urlopen(site.url + path) as response:
        body = response.read()
        assert isinstance(body, bytes)
        return body


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_an_address_that_others_reach_is_refused_by_name(host: str) -> None:
    with pytest.raises(
        InvalidSetting, match=r"THALWEG_WEB_HOST: .*no authentication.*127\.0\.0\.1"
    ):
        listen(host, 0)


@pytest.mark.parametrize(
    ("bound", "asked", "status"),
    [
        ("::1", "[::1]:8600", 200),
        ("::1", "localhost:8600", 200),
        ("127.0.0.1", "[::1]:8600", 400),
        ("127.0.0.1", "example.org", 400),
    ],
)
def test_it_answers_under_the_names_of_its_own_address_alone(
    bound: str, asked: str, status: int
) -> None:
    settings, overview = Settings(), Overview(PIPELINE, "exactly_once")
    sketches = SketchFeed(settings, PIPELINE.use_case)
    app = web_app(Feed(settings), sketches, overview, bound, [])
    scope = {"type": "http", "method": "GET", "path": "/health/live", "query_string": b""}
    told = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        told.append(message)

    run_apart(app({**scope, "headers": [(b"host", asked.encode())]}, receive, send))

    assert told[0]["status"] == status


def test_a_page_that_cannot_make_its_frames_is_not_ready_any_more_and_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever asks for readiness restarts it; silent, it would stay as it is."""

    class Broken(Overview):
        def frame(self, now_ms: int) -> dict[str, Any]:
            raise ValueError(f"no frame of {now_ms}")

    feed = Feed(Settings())
    feed.is_caught_up = True
    pulse = Pulse(feed, SketchFeed(Settings(), PIPELINE.use_case), Broken(PIPELINE, "exactly_once"))
    with pytest.raises(ValueError, match="no frame of"):
        run_apart(pulse.run())

    assert not pulse.is_beating
    assert "no frames any more" in caplog.text


def test_a_taken_port_ends_in_one_line_that_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidSetting, match=rf"THALWEG_WEB_PORT: .*127\.0\.0\.1:{port}"):
            listen("127.0.0.1", port)


@pytest.mark.integration
def test_the_api_tells_what_was_published_and_passes_garbage_over(make_site: MakeSite) -> None:
    site, metrics = make_site(), Metrics()
    site.produce_garbage()
    metrics.counter(metric_list.PREDICTIONS).inc(41)
    site.say("predict-0", metrics, time.time_ns() // 1_000_000)
    site.raise_alert(
        Alert("a1", "drift", "warning", "u", "score_mean", 0.2, 0.1, 1_709_251_200_000)
    )
    wait_until(lambda: b'"a1"' in get(site, "/api/alerts"))
    wait_until(lambda: b'"predict-0"' in get(site, "/api/overview"))

    overview = json.loads(get(site, "/api/overview"))
    assert overview["numbers"]["predictions_total"] == 41
    assert overview["alerts"][0]["incident"] == "viral article"
    assert len(json.loads(get(site, "/api/alerts"))["alerts"]) == 1


@pytest.mark.integration
def test_events_come_once_a_second_as_json(make_site: MakeSite) -> None:
    site = make_site()
    wait_until(lambda: site.status("/health/ready") == 200)
    with urllib.request.urlopen(site.url + "/events") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        frames: list[dict[str, int]] = []
        while len(frames) < 3:
            line = stream.readline().decode()
            if line.startswith("data: "):
                frames.append(json.loads(line.removeprefix("data: ")))

    times = [frame["at"] for frame in frames]
    assert all(500 <= later - earlier <= 2_500 for earlier, later in pairwise(times))


@pytest.mark.integration
def test_what_the_past_said_is_known_after_a_restart(make_site: MakeSite) -> None:
    site, metrics = make_site(), Metrics()
    now_ms = time.time_ns() // 1_000_000
    for ago_ms in (9_000, 8_000):
        metrics.counter(metric_list.PREDICTIONS).inc(30)
        site.say("predict-0", metrics, now_ms - ago_ms)
    site.stop()
    site.start()
    wait_until(lambda: site.status("/api/overview") == 200)

    overview = json.loads(get(site, "/api/overview"))
    assert overview["numbers"]["predictions_total"] == 60
    assert 30 in [point["predictions"] for point in overview["history"]]


@pytest.mark.integration
def test_answers_carry_a_strict_content_policy_and_other_host_names_are_refused(
    make_site: MakeSite,
) -> None:
    site = make_site()
    connection = http.client.HTTPConnection("127.0.0.1", site.settings.web_port)
    statuses = []
    for host in (f"127.0.0.1:{site.settings.web_port}", "localhost", "rebound.example.org"):
        connection.request("GET", "/", headers={"Host": host})
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
    connection.close()

    assert statuses == [200, 200, 400]


@pytest.mark.integration
def test_the_server_has_metrics_of_its_own(make_site: MakeSite) -> None:
    site = make_site()
    families = text_string_to_metric_families(get(site, "/metrics").decode())

    assert {"thalweg_up", "thalweg_ready"} <= {family.name for family in families}


@pytest.mark.integration
def test_without_a_broker_it_lives_is_not_ready_and_says_why(
    make_site: MakeSite, free_port: Callable[[], int]
) -> None:
    site = make_site()
    site.stop()
    site.settings = Settings(
        kafka_bootstrap=f"127.0.0.1:{free_port()}", web_port=site.settings.web_port
    )
    site.start()

    assert site.status("/health/live") == 200
    assert site.status("/health/ready") == 503
    assert site.status("/api/overview") == 503
    assert site.status("/") == 200


@pytest.mark.integration
def test_a_listening_page_does_not_hold_up_the_end(make_site: MakeSite) -> None:
    site = make_site()
    wait_until(lambda: site.status("/health/ready") == 200)
    with urllib.request.urlopen(site.url + "/events") as stream:
        stream.readline()
        began = time.monotonic()
        code = site.stop()

    assert code == 0
    assert time.monotonic() - began < 5
