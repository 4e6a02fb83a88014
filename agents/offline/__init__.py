"""The offline store: what was predicted and what came of it, as Parquet, by date.

::

    outcomes, predictions ──▶ archive ──▶ table_writer ──▶ manifests ──▶ reader ──▶ (you)
    files of events ────────▶ backfill ──▶ table_writer      │   ▲
                                                             ▼   │
                                         sweeping ◀─────── compaction

A row is there exactly once however often its record was delivered: files become part of a table
by a manifest that names the offsets they stand for. One that names those of others replaces them.
"""
