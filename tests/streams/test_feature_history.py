"""The memory of a history of features."""

from datetime import timedelta

import pytest

from schemas.events import UserEvent
from streams.entities import Entity, about
from streams.feature_history import FeatureHistory
from streams.feature_set import compile_feature_set
from streams.features import count

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
DAY_MS = 86_400_000
START_MS = 1_704_067_200_000


@pytest.mark.parametrize("n_views", [1, 2, 3, 5])
def test_as_many_are_forgotten_as_come_however_many_views_there_are(n_views):
    """Each event is of a user, and about entities, that nobody saw before."""
    kinds = [Entity(f"kind{n}", ("user_id", "item_id")) for n in range(n_views)]
    built = compile_feature_set(
        [count(over=30 * DAY)], [about(kind, count(over=30 * DAY)) for kind in kinds], UserEvent
    )
    history = FeatureHistory(
        built.user,
        deduplication=HOUR,
        max_event_ids=100,
        lateness=timedelta(0),
        views=built.of_user,
    )
    days = built.user.retention // DAY
    sizes = []
    for n in range(4 * days):
        at_ms = START_MS + n * DAY_MS
        history.add(UserEvent(f"u{n}", "view", at_ms, f"e{n}", item_id=f"i{n}"))
        sizes.append((len(history), history.n_entities))

    # Those of the days that are kept, both ends included.
    assert max(sizes) == sizes[-1] == (days + 1, (days + 1) * n_views)
