"""A Faust transport on librdkafka: batches in, one transaction out.

The way of a record through the modules of this package::

    poller ──▶ in_flight ──▶ stream ──▶ (your agent) ──▶ batch ──▶ exactly_once | at_least_once
      │            ▲                                                     │
      ▼            └────────────────── committed ───────────────────────┘
    rebalance ──▶ restorer

=================== ============================================================================
`app`, `transport`  what a user sees, and what Faust finds
`client_settings`   what is asked of librdkafka, and why
`poller`            fetches; the only thread that touches the consumer
`in_flight`         the ledger of what is delivered and not yet committed
`consumer`          connects the threads with Faust; `offsetless_consumer` is what it leaves out
`stream`            gives agents batches or values; `poison` sets aside, `refused` refuses
`supervisor`        restarts agents that failed
`batch`             what one causes; `producer` lets what agents send join it
`exactly_once`      commits by transactions of producers that `initialise` makes ready, with
                    `calls` that are watched, in an `abandonable` thread; `claim` holds a producer's
                    id, `ownership` tells whose it is
`at_least_once`     commits offsets behind deliveries
`publish`           hands outputs of either to librdkafka
`copartitioning`    refuses topics that share state but not their number of partitions
`rebalance`         hands partitions over; `departure` leaves the group for good
`takeover`          ends what a dead owner left open; `offsets` tells what is committed and by
                    whom, `coordinator` who may know
`keyed_state`       what is asked of state that travels with partitions
`restorer`          brings it back, with `log_reader`
`standby`           keeps copies of it warm, of the partitions that `standby_plan` chooses
`watchdog`          heals or ends what stands still, which `stalls` tells
`topic_feed`        follows a topic whole, beside all groups
=================== ============================================================================

Three threads share the work: the event loop runs agents; the poller alone touches the librdkafka
consumer; the committer publishes what finished batches caused, together with their offsets.
While one batch commits, the next is computed.
"""
