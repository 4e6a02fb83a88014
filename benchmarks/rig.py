"""A broker, topics, a trained champion, and one predict worker as a process of its own."""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from confluent_kafka import Producer

from agents.admin import topic_admin
from agents.embedded.kafka import EmbeddedKafka
from agents.embedded.process import free_port
from agents.kafka.client_settings import Delivery, KafkaSettings
from agents.local.keys import ensure_keys
from agents.settings import Settings
from benchmarks import shop
from online_models.signing import Signer
from online_models.snapshot import encode
from schemas import topics

READY_TIMEOUT_S = 60.0


class Rig:
    """What is measured against; as real as in production, on one machine."""

    def __init__(self, delivery: Delivery, *, pipeline: str = shop.PIPELINE) -> None:
        self.delivery = delivery
        self._pipeline = pipeline
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._data_dir = data_dir
            kafka = stack.enter_context(EmbeddedKafka(data_dir, free_port(), throughput=True))
            self.settings = Settings(kafka_bootstrap=kafka.bootstrap, data_dir=data_dir)
            topic_admin.create(self.settings)
            self._keys = ensure_keys(data_dir / "keys")
            self._publish_champion()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_worker(self) -> None:
        """Start predict, and wait until records can flow through it."""
        self._metrics_port = free_port()
        worker = self._start("predict", self._metrics_port)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self.sample("thalweg_ready") != 1.0:
            if worker.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((self._data_dir / "predict.log").read_text()[-2_000:])
            time.sleep(0.05)

    def start_learner(self) -> int:
        """Start learn, which nobody waits for; tell its process id."""
        return self._start("learn", 0).pid

    def _start(self, role: str, metrics_port: int) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self._data_dir / f"{role}.log").open("wb"))
        told = {
            "KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap,
            "DELIVERY": self.delivery,
            "SIGNING_KEY_FILE": self._keys.signing_key_file,
            "TRUSTED_KEYS_DIR": self._keys.trusted_keys_dir,
            "METRICS_PORT": metrics_port,
            "PIPELINE": self._pipeline,
        }
        worker = subprocess.Popen(
            [sys.executable, "-m", "agents.cli", "worker", role],
            env=os.environ | {f"THALWEG_{name}": str(value) for name, value in told.items()},
            stdout=log,
            stderr=log,
        )
        self._stack.callback(worker.wait)
        self._stack.callback(worker.terminate)
        return worker

    def sample(self, name: str) -> float:
        """Read one figure of the worker; 0 while there is none."""
        url = f"http://127.0.0.1:{self._metrics_port}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        found = [line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")]
        return float(found[0]) if found else 0.0

    def _publish_champion(self) -> None:
        signer = Signer.from_pem(self._keys.signing_key_file.read_bytes())
        learner = shop.trained_champion()
        blob = encode(learner, signer, at_ms=int(time.time() * 1_000))
        kafka = KafkaSettings(bootstrap=self.settings.kafka_bootstrap, group="bench")
        producer = Producer(kafka.producer())
        producer.produce(topics.MODELS.name, blob, learner.model.encode(), 0)
        producer.flush(30)
