"""What River calls the models that the catalogue has."""

from river import base

from online_models.arm_models import ArmModel

Estimator = base.Classifier | base.Regressor | base.AnomalyDetector | ArmModel
"""A model that learns one outcome at a time."""
