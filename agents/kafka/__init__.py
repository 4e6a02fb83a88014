"""A Faust transport on librdkafka: batches in, one transaction out.

The way of a record through the modules of this package::

    poller ──▶ in_flight ──▶ stream ──▶ (your agent) ──▶ batch ──▶ exactly_once | at_least_once
      │            ▲                                                     │
      ▼            └────────────────── committed ───────────────────────┘
    rebalance ──▶ restore

Three threads share the work: the event loop runs agents; the poller alone touches the librdkafka
consumer; the committer publishes what finished batches caused, together with their offsets.
While one batch commits, the next is computed.
"""
