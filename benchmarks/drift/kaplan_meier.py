"""How long it takes until something happens, though some were not watched until it did."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scipy import stats  # type: ignore[import-untyped]

from benchmarks.drift.episodes import MAX_DELAY
from benchmarks.drift.replay import Alarms


class Survival(NamedTuple):
    """The share that has not seen it yet, from each time on at which some did."""

    times: Sequence[float]
    shares: Sequence[float]

    @property
    def median(self) -> float | None:
        """Time at which half of them have; `None`: by no time that was watched."""
        pairs = zip(self.times, self.shares, strict=True)
        return next((time for time, share in pairs if share <= 0.5), None)

    def at(self, time: float) -> float:
        """Tell the share that has not seen it after a time."""
        pairs = zip(self.times, self.shares, strict=True)
        return next((share for at, share in reversed([*pairs]) if at <= time), 1.0)


def survival(seen: Iterable[float], unseen: Iterable[float]) -> Survival:
    """Estimate it by Kaplan and Meier.

    Parameters
    ----------
    seen
        How long it took.
    unseen
        How long others were watched, in vain.

    Examples
    --------
    Of five, one is given up after 2, when it is one of four: it tells nothing of later.

    >>> survival([1, 3, 5], [2, 6]).shares
    [0.8, 0.8, 0.533, 0.267, 0.267]
    """
    data = stats.CensoredData(uncensored=[*seen], right=[*unseen])
    function = stats.ecdf(data).sf
    return Survival(
        [float(each) for each in function.quantiles],
        [float(each) for each in function.probabilities],
    )


def run_lengths(some: Iterable[Alarms]) -> Survival:
    """Estimate how many rows there are to a false alarm, from the start or the last alarm on."""
    seen: list[int] = []
    unseen: list[int] = []
    for each in some:
        begun = 0
        for at in each.before:
            seen.append(at - begun)
            begun = at
        unseen.append(each.n_before - begun)
    return survival(seen, [length for length in unseen if length])


def delays(some: Iterable[Alarms], pace: str) -> Survival:
    """Estimate how many rows there are from the start of a drift to the alarm that finds it."""
    seen: list[int] = []
    unseen: list[int] = []
    for each in some:
        for drift, after in each.after.items():
            if drift.pace == pace and after:
                seen.append(after[0])
            elif drift.pace == pace:
                unseen.append(drift.width + MAX_DELAY)
    return survival(seen, unseen)
