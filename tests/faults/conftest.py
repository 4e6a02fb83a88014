"""Clusters behind proxies, one of each size for the whole run, and runs on them."""

import os
import secrets
import sys
import time
from contextlib import ExitStack

import pytest

from tests.faults.cluster import Cluster
from tests.faults.size import SIZE
from tests.faults.workload import Workload


@pytest.fixture(scope="session")
def one_broker(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("one-broker"), 1) as made:
        yield made


@pytest.fixture(scope="session")
def three_brokers(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("three-brokers"), 3) as made:
        yield made


@pytest.fixture
def cluster(request):
    """A cluster of this run's size, healed afterwards."""
    made = request.getfixturevalue("one_broker" if SIZE.n_brokers == 1 else "three_brokers")
    yield made
    made.heal()


@pytest.fixture
def run(request, cluster, tmp_path):
    """Workers under load; the seed is told, and is FAULTS_SEED where that is set.

    By an indirect parameter workers get other settings.
    """
    settings = getattr(request, "param", {})
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(1 << 32))
    tell(f"FAULTS_SEED={seed}")
    began_at_s = time.monotonic()
    with ExitStack() as stack:
        workload = stack.enter_context(
            Workload(cluster, tmp_path, rate=SIZE.rate, seed=seed, **settings)
        )
        workload.begin(SIZE.n_workers)
        yield workload
        tell(
            f"{workload.generator.n_sent:,} events in {time.monotonic() - began_at_s:.0f} s,"
            f" flowing again within {workload.longest_until_flowing_s:.1f} s"
        )


def tell(line):
    """Say something that is shown of a failed test, and of all with `-s`."""
    sys.stderr.write(f"\n{line}\n")
