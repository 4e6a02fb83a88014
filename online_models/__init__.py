"""The pure learning core: catalogue, scoring, learning, evaluation, drift, snapshots.

Nothing here performs I/O, reads a clock or knows of Kafka; time and seeds are arguments.
"""
