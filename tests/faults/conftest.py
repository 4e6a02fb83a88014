"""Clusters behind proxies, one of each size for the whole run."""

import pytest

from tests.faults.cluster import Cluster


@pytest.fixture(scope="session")
def one_broker(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("one-broker"), 1) as made:
        yield made


@pytest.fixture(scope="session")
def three_brokers(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("three-brokers"), 3) as made:
        yield made
