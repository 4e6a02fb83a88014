"""What worker processes load: the pipeline over a set and with a model that they are told of."""

import os

from river import datasets

from tests.river_oracle.lockstep import pipeline_of

TOLD = "RIVER_ORACLE"
"""Environment variable: names of the data set and of the model."""

_dataset, _model = os.environ.get(TOLD, "Phishing binary_logistic_v2").split()
_columns, _ = next(iter(getattr(datasets, _dataset)()))
PIPELINE = pipeline_of(_columns, _model)
