"""What River calls the models that the catalogue has."""

from river import base

Estimator = base.Classifier | base.Regressor | base.AnomalyDetector
"""A model that learns one outcome at a time."""
