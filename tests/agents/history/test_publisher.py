"""What may be skipped the next time: an unbroken beginning."""

from hypothesis import given
from hypothesis import strategies as st

from agents.history.publisher import AcknowledgedPrefix


@given(st.permutations(range(30)), st.integers(0, 30))
def test_the_prefix_is_the_longest_unbroken_beginning(order, n_acknowledged):
    acknowledged = set(order[:n_acknowledged])
    expected = next(length for length in range(31) if length not in acknowledged)

    prefix = AcknowledgedPrefix()
    for index in order[:n_acknowledged]:
        prefix.add(index)

    assert prefix.length == expected
