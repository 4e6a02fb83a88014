"""The books balance, in whatever order events and answers are seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.history.accounting import Accounting, percentile
from schemas.alerts import Alert

ids = st.integers(0, 12).map("e{}".format)
entries = st.lists(
    st.one_of(
        st.tuples(st.just("sent"), ids),
        st.tuples(st.just("predicted"), ids),
        st.tuples(st.just("set aside"), ids),
    )
)


def books_of(entries: list[tuple[str, str]]) -> Accounting:
    books = Accounting()
    for kind, event_id in entries:
        match kind:
            case "sent":
                books.sent(event_id)
            case "predicted":
                books.predicted(event_id, latency_ms=1.0)
            case _:
                books.set_aside(event_id, "too_late")
    return books


@given(entries)
def test_the_figures_are_those_of_a_naive_count(entries):
    sent = {event_id for kind, event_id in entries if kind == "sent"}
    predicted = [event_id for kind, event_id in entries if kind == "predicted" and event_id in sent]
    set_aside = [event_id for kind, event_id in entries if kind == "set aside"]

    books = books_of(entries)
    figures = books.figures()

    assert figures.events_in == len(sent)
    assert figures.predictions_out == len(predicted)
    assert figures.duplicated == len(predicted) - len(set(predicted))
    assert figures.lost == len(sent - set(predicted) - set(set_aside)) == books.n_unanswered
    assert sum(figures.dead_letters.values()) == len(set_aside)


@given(entries, st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_seen_does_not_matter(entries, random):
    shuffled = list(entries)
    random.shuffle(shuffled)

    assert books_of(entries).figures() == books_of(shuffled).figures()


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(values, share):
    ascending = sorted(values)
    value = percentile(ascending, share)

    assert sum(x <= value for x in values) >= share * len(values) - 1e-9
    assert sum(x < value for x in values) < share * len(values)


def test_a_prediction_that_nobody_saw_appear_has_no_latency():
    books = Accounting()
    books.sent("e1")
    books.predicted("e1", latency_ms=None)

    assert books.figures().latency_ms is None
    assert books.figures().predictions_out == 1


def test_a_dead_letter_without_an_id_is_counted_and_answers_no_event():
    books = Accounting()
    books.sent("e1")
    books.set_aside(None, "not_json")

    figures = books.figures()
    assert figures.dead_letters == {"not_json": 1}
    assert figures.lost == 1


@pytest.mark.parametrize(("kind", "expected"), [("drift", 1), ("accuracy", 0)])
def test_only_drift_alarms_are_part_of_the_audit(kind, expected):
    books = Accounting()
    books.alarmed(Alert("a1", kind, "warning", "purchase-intent", "score_mean", 0.2, 0.1, 5))

    assert len(books.figures().drift_alarms) == expected
