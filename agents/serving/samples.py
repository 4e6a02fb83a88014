"""Samples as telemetry carries them: read their names, and quantiles off their buckets."""

import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

_PAIR: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = re.compile(r"\\(.)")


class SampleName(NamedTuple):
    """A metric's name, and which of its samples this is."""

    name: str
    labels: Mapping[str, str]


@lru_cache(maxsize=20_000)
def parse(sample: str) -> SampleName:
    r"""Take a sample's name apart; the same few names come every second, so they are kept.

    >>> parse('thalweg_lag_records{group="predict",topic="labels"}')
    SampleName(name='thalweg_lag_records', labels={'group': 'predict', 'topic': 'labels'})
    >>> parse("thalweg_ready").labels
    {}
    >>> parse(r'thalweg_hops_total{leg="a\"b\\c\n"}').labels["leg"] == 'a"b\\c\n'
    True
    """
    name, _, pairs = sample.partition("{")
    return SampleName(name, {label: _unescape(value) for label, value in _PAIR.findall(pairs)})


def _unescape(value: str) -> str:
    return _ESCAPED.sub(lambda match: "\n" if match[1] == "n" else match[1], value)


def bucket_counts(cumulative: Iterable[tuple[str, float]]) -> list[tuple[float, float]]:
    """Turn a histogram's cumulative buckets (`le`, count) into (upper bound, count alone).

    >>> bucket_counts([("+Inf", 7.0), ("0.1", 2.0), ("0.5", 5.0)])
    [(0.1, 2.0), (0.5, 3.0), (inf, 2.0)]
    """
    ascending = sorted((float(le), count) for le, count in cumulative)
    before = 0.0
    alone = []
    for bound, count in ascending:
        alone.append((bound, count - before))
        before = count
    return alone


def quantile(buckets: Iterable[tuple[float, float]], q: float) -> float | None:
    """Estimate a quantile from (upper bound, count) as Prometheus does.

    Values are taken to lie evenly within their bucket; above the last finite bound, that bound is
    all that is known. `None` without values.

    >>> buckets = [(0.01, 50.0), (0.05, 40.0), (math.inf, 10.0)]
    >>> quantile(buckets, 0.5), quantile(buckets, 0.7), quantile(buckets, 0.99)
    (0.01, 0.03, 0.05)
    """
    buckets = list(buckets)
    total = sum(count for _, count in buckets)
    if total <= 0:
        return None
    wanted = q * total
    lower = below = 0.0
    for bound, count in buckets:
        if math.isinf(bound):
            break
        if below + count >= wanted and count > 0:
            return lower + (bound - lower) * (wanted - below) / count
        lower, below = bound, below + count
    return lower
