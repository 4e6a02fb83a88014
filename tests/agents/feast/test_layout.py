"""Our bytes are Feast's: the expected ones came out of Feast 0.67.0's own encoders.

`_redis_key` and `_mmh3` of `feast.infra.online_stores.helpers`, `Value(double_val=…)` and
`Timestamp.FromMilliseconds`, each serialized, with `entity_key_serialization_version` 3.
"""

import pytest

from agents.feast import layout
from schemas.errors import InvalidDeclaration

KEYS = [
    ("shop", "ada", "010000000200000007000000757365725f6964020000000300000061646173686f70"),
    (
        "thalweg-prod",
        "Zoë 🙂",
        "010000000200000007000000757365725f69640200000009000000"
        "5a6fc3ab20f09f99827468616c7765672d70726f64",
    ),
    ("shop", "", "010000000200000007000000757365725f6964020000000000000073686f70"),
]
FIELDS = [
    ("purchase_intent", "event_count_1h", "dc58acec"),
    ("purchase_intent", "click_rate_7d", "1e9b76b4"),
    ("payments", "größe", "3898390d"),
]
VALUES = [
    (0.0, "290000000000000000"),
    (-0.0, "290000000000000080"),
    (0.1, "299a9999999999b93f"),
    (5e-324, "290100000000000000"),
    (float("inf"), "29000000000000f07f"),
    (1.7976931348623157e308, "29ffffffffffffef7f"),
]
MOMENTS = [
    (0, ""),
    (7, "10c09fab03"),
    (1_000, "0801"),
    (1_704_067_200_123, "088081c8ac0610c0a9d33a"),
    (-1, "08ffffffffffffffffff0110c08faedc03"),
    (253_402_300_799_999, "08ff82d1ffaf0710c08faedc03"),
]


@pytest.mark.parametrize(("project", "user_id", "expected"), KEYS)
def test_a_user_has_the_key_that_feast_gives_them(project, user_id, expected):
    assert layout.entity_key(project, user_id).hex() == expected


@pytest.mark.parametrize(("view", "feature", "expected"), FIELDS)
def test_a_feature_has_the_field_that_feast_gives_it(view, feature, expected):
    assert layout.field(view, feature).hex() == expected


@pytest.mark.parametrize(("number", "expected"), VALUES)
def test_a_number_is_the_value_that_feast_writes(number, expected):
    assert layout.value(number).hex() == expected


@pytest.mark.parametrize(("at_ms", "expected"), MOMENTS)
def test_a_moment_is_the_timestamp_that_feast_writes(at_ms, expected):
    assert layout.timestamp(at_ms).hex() == expected


def test_features_that_would_share_a_field_are_refused():
    seen: dict[bytes, int] = {}
    for n in range(1_000_000):  # two of some 80,000 names meet
        first = seen.setdefault(layout.field("v", f"f{n}"), n)
        if first != n:
            break

    layout.check_fields("v", ["f0", "f1", "f1"])
    with pytest.raises(InvalidDeclaration, match=f"`f{first}` and `f{n}`"):
        layout.check_fields("v", [f"f{first}", f"f{n}"])
