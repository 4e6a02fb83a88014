"""A real server of the page, and what publishes to it."""

import asyncio
import os
import shutil
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from confluent_kafka import Producer
from playwright.sync_api import Browser, Page, sync_playwright

from agents.admin import topic_admin
from agents.embedded import child
from agents.embedded.kafka import EmbeddedKafka
from agents.observability.metrics import Metrics
from agents.observability.telemetry import telemetry_record
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from schemas import topics
from schemas.alerts import Alert
from schemas.sketches import SCORE, SketchMinute
from tests.waiting import wait_until

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]


class Site:
    """One system's page: its own topics, and a server process."""

    def __init__(self, settings: Settings, log_path: Path, pipeline: str, token: str) -> None:
        self.settings = settings
        self._token = token
        self.url = f"http://{settings.web_host}:{settings.web_port}"
        self._log_path = log_path
        self._pipeline = pipeline
        self._producer = Producer({"bootstrap.servers": settings.kafka_bootstrap, "linger.ms": 0})

    def start(self) -> None:
        env = {
            **os.environ,
            "THALWEG_KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap,
            "THALWEG_TOPIC_PREFIX": self.settings.topic_prefix,
            "THALWEG_PIPELINE": self._pipeline,
            "THALWEG_WEB_PORT": str(self.settings.web_port),
            "THALWEG_WEB_TOKEN": self._token,
        }
        command = [sys.executable, "-m", "agents.cli", "serve"]
        self.process = child.start(command, log_path=self._log_path, env=env)
        wait_until(
            lambda: self.process.poll() is not None or self.status("/health/live") == 200, 20
        )
        assert self.process.poll() is None, self._log_path.read_text()

    def stop(self) -> int:
        return child.stop(self.process, 10)

    def status(self, path: str) -> int | None:
        try:
            with urllib.request.urlopen(self.url + path) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except urllib.error.URLError:
            return None

    def say(self, process: str, metrics: Metrics, at_ms: int) -> None:
        self._produce(topics.TELEMETRY, process, telemetry_record(process, metrics, at_ms))

    def raise_alert(self, alert: Alert) -> None:
        self._produce(topics.ALERTS, alert.use_case, msgspec.json.encode(alert))

    def sketch(self, record: SketchMinute) -> None:
        self._produce(topics.SKETCHES, record.use_case, msgspec.json.encode(record))

    def produce_garbage(self) -> None:
        read = (topics.TELEMETRY, topics.ALERTS, topics.DEPLOYMENTS)
        for topic in (*read, topics.SKETCHES, topics.SKETCH_REFERENCES):
            for value in (None, b"", b"{", b"[1]", b"\xff", b'{"process": 7}'):
                self._produce(topic, "garbage", value)
        self.raise_alert(
            Alert("big", "drift", "warning", "u", "score_mean", 0.2, 0.1, 0, {"n": 10**30})
        )
        self.sketch(SketchMinute(PIPELINE.use_case, 0, 0, PIPELINE.champion, [SCORE], []))

    def _produce(self, topic: topics.Topic, key: str, value: bytes | None) -> None:
        self._producer.produce(topic.named(self.settings.topic_prefix), value, key)
        assert self._producer.flush(30) == 0


MakeSite = Callable[..., Site]
T = TypeVar("T")


def run_apart(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread: that of the tests may have the loop of a browser."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


@pytest.fixture
def make_site(
    kafka: EmbeddedKafka, free_port: Callable[[], int], tmp_path: Path
) -> Iterator[MakeSite]:
    """Make sites whose servers end with the test."""
    sites: list[Site] = []

    def make(
        pipeline: str = "examples.shop.pipeline",
        *,
        settings: Settings | None = None,
        token: str = "",
    ) -> Site:
        """Of an environment that is there, or of one that is made."""
        if settings is None:
            prefix = f"{uuid.uuid4().hex[:8]}."
            settings = Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=prefix, partitions=1)
            topic_admin.create(settings)
        settings = settings.model_copy(update={"web_port": free_port()})
        site = Site(settings, tmp_path / f"serve-{len(sites)}.log", pipeline, token)
        sites.append(site)
        site.start()
        return site

    yield make
    for site in sites:
        site.stop()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    path = next(filter(None, found), None)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have a Chromium: apt-get install chromium")
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must not complain on its console, be it of scripts or of the content policy."""
    complaints: list[str] = []
    page = browser.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.close()
    assert [text for text in complaints if "Failed to load resource" not in text] == []
