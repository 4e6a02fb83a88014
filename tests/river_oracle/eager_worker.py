"""A worker as in production, but that nobody waits for longer than its work takes.

There half a second may pass until a model is published, outcomes are gathered for a tenth, and a
snapshot is served once the broker says, within another tenth, that no newer one follows. In
lockstep each of it would pass between any two questions.
"""

import math
import sys

from agents import learn, settings, worker  # learn before its constant changes in `publication`
from agents.kafka.client_settings import ClientSettings, KafkaSettings
from agents.learning import publication

END_MS = 2
"""How long the broker takes to say that a topic is read to its end."""


def main(role: str) -> None:
    """Run a role without what makes it wait."""
    assert vars(learn)["CHAMPION_INTERVAL_S"] > 0  # its clocks go on as they do
    vars(publication).update(CHAMPION_INTERVAL_S=0.0, SHARE=math.inf)
    worker._PATIENCE.pop("learn")
    reader = KafkaSettings.reader

    def eager_reader(kafka: KafkaSettings) -> ClientSettings:
        return reader(kafka) | {"fetch.wait.max.ms": END_MS}

    KafkaSettings.reader = eager_reader  # type: ignore[method-assign, assignment]
    worker.run(role, 0, settings.load())


if __name__ == "__main__":
    main(role=sys.argv[2])  # behind `worker`
