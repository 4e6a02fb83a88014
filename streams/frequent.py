"""Which values are frequent, in bounded memory: the summary of Misra and Gries, which merges.

A summary counts at most `CAPACITY` values. When there is one more, all of them are counted down
alike and who comes to nothing goes. So a count is never too large, and too small by at most
`WITHIN` of all values that were counted: whichever summaries were merged in which order. With no
more different values than `CAPACITY` nothing is lost at all.

References
----------
Misra, Gries, Finding repeated elements, Science of Computer Programming (1982).
Agarwal, Cormode, Huang, Phillips, Wei, Yi, Mergeable summaries, PODS (2012).
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

Summary = dict[str, int]
"""Value -> how often, at least."""

CAPACITY: Final = 16
WITHIN: Final = 1 / (CAPACITY + 1)
"""Of all values that were counted, by so much may a count be too small."""
LONGEST_VALUE: Final = 40
"""Characters: a longer value is known by its hash, so that summaries have a bounded size."""


def known_as(value: object) -> str:
    """Tell by which text a summary knows a value.

    >>> known_as("mobile"), known_as(7), known_as("x" * 1_000)
    ('mobile', '7', '#c9b2bd4ff487864c29fb41fab3e8187e')
    """
    text = str(value)
    if len(text) <= LONGEST_VALUE:
        return text
    return "#" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def summary_of(value: object) -> Summary:
    """Summarize one value.

    >>> summary_of("mobile")
    {'mobile': 1}
    """
    return {known_as(value): 1}


def combined(one: Summary, other: Summary) -> Summary:
    """Summarize what two summaries do together; it is `one` itself where the other has nothing.

    >>> combined({"mobile": 2}, {"mobile": 1, "desktop": 1})
    {'mobile': 3, 'desktop': 1}
    """
    if not other:
        return one
    counts = one.copy()
    for value, n in other.items():
        counts[value] = counts.get(value, 0) + n
    return _counted_down(counts)


def examples(one: Summary, other: Summary) -> Summary:
    """Keep what occurs most often in two summaries together, for people to look at.

    However many different values there are, some are kept; their counts are no bounds then.

    >>> examples({str(n): 1 for n in range(16)}, {"a": 2, "b": 1})["a"]
    2
    >>> len(examples({str(n): 1 for n in range(16)}, {"a": 2, "b": 1})) == CAPACITY
    True
    """
    counts = one.copy()
    for value, n in other.items():
        counts[value] = counts.get(value, 0) + n
    if len(counts) <= CAPACITY:
        return counts
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:CAPACITY])


def evict(_: Summary, __: Sequence[Summary], inside: Iterable[Summary]) -> Summary:
    """Summarize what stays in a window: from a summary nothing can be taken away.

    >>> evict({"mobile": 3}, [{"mobile": 1}], [{"mobile": 1}, {"mobile": 1}])
    {'mobile': 2}
    """
    counts: Summary = {}
    for summary in inside:
        for value, n in summary.items():
            counts[value] = counts.get(value, 0) + n
    return _counted_down(counts)


def most_frequent(one: Summary, other: Summary) -> tuple[str, int]:
    """Tell the most frequent value of two summaries together, and its count.

    Of several it is the first in alphabetical order. Nothing goes to make room, as in `combined`.

    >>> most_frequent({"mobile": 1, "desktop": 2}, {"mobile": 1}), most_frequent({}, {})
    (('desktop', 2), ('', 0))
    """
    top, most = "", 0
    more = other.get
    for value, n in one.items():
        n_together = n + more(value, 0)
        if n_together > most or (n_together == most and value < top):
            top, most = value, n_together
    # What was counted above is at most equal here, and not before itself.
    for value, n in other.items():
        if n > most or (n == most and value < top):
            top, most = value, n
    return top, most


def _counted_down(counts: Summary) -> Summary:
    if len(counts) <= CAPACITY:
        return counts
    least = sorted(counts.values(), reverse=True)[CAPACITY]
    return {value: n - least for value, n in counts.items() if n > least}
