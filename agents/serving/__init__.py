"""The face of a running system: the ops page, its events and its API.

::

    telemetry, alerts ──▶ feed ──▶ overview (fleet, timeline) ──▶ pulse ──▶ web ──▶ page

The pure half (`samples`, `fleet`, `timeline`, `overview`) turns records into what the page shows;
the other half reads Kafka in a thread and speaks HTTP.
"""
