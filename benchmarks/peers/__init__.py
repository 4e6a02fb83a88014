"""Thalweg's transport beside its peers: the same work, the same broker, the same observer.

Each peer is a process of its own (`hand_written.py`, `thalweg.py`, …) which reads one topic and
writes one prediction for each event. Modules that peers import know the standard library, River and
orjson alone: some peers run in environments that have nothing else of ours.
"""
