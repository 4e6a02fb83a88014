"""Silences in the log: of two who decide at once one wins; what makes no sense has no effect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.registry import Registry
from schemas.deployments import ALL_ALERTS, LAST_MS, SILENCED, UNSILENCED, Deployment

KINDS = ("drift", "accuracy", ALL_ALERTS)
steps = st.lists(
    st.tuples(
        st.sampled_from([SILENCED, UNSILENCED]),
        st.sampled_from(KINDS),
        st.integers(0, 3),  # how many events ago its writer looked
        st.integers(-1, 2),  # how long after its beginning it ends
    )
)


def event(kind: str, alerts: str = "drift", **fields: object) -> Deployment:
    given = {"at": 5, "until": 10 if kind == SILENCED else 0, "why": "w", **fields}
    return Deployment(
        kind=kind,
        use_case="intent",
        model="",
        by="ada",
        alert_kind=alerts,
        **given,  # type: ignore[arg-type]
    )


@given(steps)
def test_whoever_reads_the_log_finds_the_silences_of_a_coordinator(
    steps: list[tuple[str, str, int, int]],
) -> None:
    registry = Registry("intent")
    silent: dict[str, int] = {}
    changed: dict[str, int] = {}  # of those that are silent
    for offset, (kind, alerts, ago, span) in enumerate(steps):
        expects = offset - 1 - ago
        until = 5 + span if kind == SILENCED else 0
        is_late = alerts in silent and changed[alerts] > expects
        if not is_late and kind == SILENCED and span > 0:
            silent[alerts], changed[alerts] = until, offset
        elif not is_late and kind == UNSILENCED:
            silent.pop(alerts, None)
        registry = registry.fold(event(kind, alerts, expects=expects, until=until), offset)

        assert {name: each.event.until for name, each in registry.silences.items()} == silent
    assert registry.champion is None


@pytest.mark.parametrize(
    ("decided", "reason"),
    [
        (event(SILENCED, ""), "it names no alerts"),
        (event(SILENCED, why=""), "a silence says why"),
        (event(SILENCED, until=5), "a silence ends after it began"),
        (event(SILENCED, until=LAST_MS + 1), "a silence ends after it began"),
        (event(SILENCED, at=-1), "a silence ends after it began"),
        (event(UNSILENCED), "drift alerts are not silenced"),
        (event(UNSILENCED, ALL_ALERTS), "all alerts are not silenced"),
    ],
)
def test_what_makes_no_sense_takes_no_effect_and_says_why(decided: Deployment, reason: str) -> None:
    refusal = Registry("intent").refusal(decided)

    assert refusal is not None
    assert refusal.reason == reason
    assert decided.subject


def test_who_comes_second_is_told_who_was_faster() -> None:
    registry = Registry("intent").fold(event(SILENCED, until=3_600_000), 0)
    refusal = registry.refusal(event(SILENCED, expects=-1))

    assert refusal is not None
    assert refusal.reason == "ada silenced drift alerts until 1970-01-01T01:00:00.000Z meanwhile"
