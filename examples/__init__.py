"""Pipelines to learn from and to run."""
