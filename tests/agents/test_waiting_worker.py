"""A worker that is started before its broker waits for it, and says so once."""

import os
import signal
import subprocess
import sys

import pytest


@pytest.mark.parametrize("role", ["watch"])
def test_a_worker_without_a_broker_says_once_what_it_waits_for(role, free_port, tmp_path):
    address = f"127.0.0.1:{free_port()}"
    with subprocess.Popen(
        [sys.executable, "-m", "agents.cli", "worker", role],
        env=os.environ
        | {
            "THALWEG_KAFKA_BOOTSTRAP": address,
            "THALWEG_METRICS_PORT": "0",
            "THALWEG_DATA_DIR": str(tmp_path),
        },
        stderr=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stderr is not None
        said = worker.stderr.readline()
        worker.send_signal(signal.SIGKILL)
        said += worker.stderr.read()

    assert said == f"thalweg: no Kafka broker answers at {address}; waiting up to 60 s\n"
