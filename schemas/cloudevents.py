"""CloudEvents 1.0 in Kafka's binary mode: the `ce_*` headers of every outgoing record."""

from datetime import UTC, datetime

Headers = list[tuple[str, bytes]]


def constant_headers(type_: str, source: str) -> tuple[tuple[str, bytes], ...]:
    """Build the headers that all records of one kind share, once.

    >>> constant_headers("thalweg.prediction", "/thalweg/predict")[0]
    ('ce_specversion', b'1.0')
    """
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", type_.encode()),
        ("ce_source", source.encode()),
    )


def rfc3339(at_ms: int) -> bytes:
    """Write a time point as CloudEvents wants it.

    >>> rfc3339(1_704_067_200_000)
    b'2024-01-01T00:00:00.000Z'
    """
    seconds, ms = divmod(at_ms, 1000)
    # Not `strftime`, which takes ten times as long; not a float, which would round.
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19].encode() + b".%03dZ" % ms
