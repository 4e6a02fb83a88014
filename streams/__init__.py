"""The pure stream core: cleaning, event time, windows, features, keyed state, label join.

Nothing here performs I/O, reads a clock or knows of machine learning; time is always an argument.
"""
