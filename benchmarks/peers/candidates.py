"""Who is compared, and what each is asked."""

from dataclasses import dataclass
from typing import Final

from agents.kafka.client_settings import Delivery

HAND_WRITTEN: Final = "hand-written loop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One row of the tables.

    Parameters
    ----------
    name, delivery
        What the row is called.
    short
        What `--only` calls it.
    module
        Run as a process, with a `benchmarks.peers.task.Task`.
    requirements
        What its own environment holds; empty: it runs in ours.
    share
        How much of the backlog it is given; a slow peer would else take minutes.
    highest_rate
        Above it, it falls behind: latency is then how long the run is.
    """

    name: str
    short: str
    module: str
    delivery: Delivery = "at_least_once"
    requirements: tuple[str, ...] = ()
    share: float = 1.0
    highest_rate: int = 10_000

    @property
    def environment(self) -> str:
        """Name the environment that it runs in."""
        return self.short if self.requirements else "ours"


ALL: Final = (
    Candidate(name=HAND_WRITTEN, short="loop", module="hand_written"),
    Candidate(
        name=HAND_WRITTEN,
        short="loop",
        module="hand_written_exactly_once",
        delivery="exactly_once",
    ),
    Candidate(name="Thalweg", short="thalweg", module="thalweg"),
    Candidate(name="Thalweg", short="thalweg", module="thalweg", delivery="exactly_once"),
    Candidate(
        name="Faust as shipped",
        short="faust",
        module="faust_as_shipped",
        share=0.1,
        highest_rate=2_000,
    ),
    Candidate(
        name="Quix Streams", short="quix", module="quix", requirements=("quixstreams==3.28.1",)
    ),
    Candidate(
        name="Quix Streams",
        short="quix",
        module="quix",
        delivery="exactly_once",
        requirements=("quixstreams==3.28.1",),
    ),
    Candidate(
        name="Bytewax",
        short="bytewax",
        module="bytewax_flow",
        requirements=("bytewax[kafka]==0.21.1",),
    ),
)
SHORT: Final = tuple(dict.fromkeys(candidate.short for candidate in ALL))
