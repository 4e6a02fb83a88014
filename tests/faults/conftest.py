"""Clusters behind proxies, one of each size for the whole run."""

import os
import secrets
import sys
from contextlib import ExitStack

import pytest

from tests.faults.cluster import Cluster
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
def workload(one_broker, tmp_path):
    """Make a run on the cluster; its seed is told, and is FAULTS_SEED where that is set."""
    with ExitStack() as made:

        def make(**settings):
            seed = int(os.environ.get("FAULTS_SEED") or secrets.randbelow(1 << 32))
            sys.stderr.write(f"\nFAULTS_SEED={seed}\n")
            return made.enter_context(Workload(one_broker, tmp_path, seed=seed, **settings))

        yield make
