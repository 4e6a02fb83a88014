"""Comparisons in one run, as ratios; tests never assert wall-clock time."""
