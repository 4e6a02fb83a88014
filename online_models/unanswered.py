"""Why an answer is not the model's own: what stands in `degraded` then."""

from typing import Final

UNTRAINED: Final = "model_untrained"
FAILED: Final = "model_failed"
NOT_A_PROBABILITY: Final = "model_not_a_probability"
NOT_A_NUMBER: Final = "model_not_a_number"
