"""What the offline store says of a rollout: figures of both groups, and how far they differ."""

from collections.abc import Sequence
from typing import Final

import msgspec
import polars as pl

from online_models.assignment import Rollout
from online_models.experiment import Group, effect
from online_models.sample_ratio import evidence
from schemas.errors import InvalidDeclaration, ThalwegError
from streams.feature_kinds import Feature, OneOf
from streams.feature_set import FeatureSet

SUSPICIOUS: Final = 3.0
"""Evidence (power of ten) from which on users were not shuffled as planned: look for the bug."""
FIGURES: Final = {
    "positives": pl.col("label").cast(pl.Float64),
    "log loss": -(
        pl.when("label").then(pl.col("score")).otherwise(1 - pl.col("score")).clip(1e-15).log()
    ),
    "wrong decisions": (pl.col("decision") != pl.col("label")).cast(pl.Float64),
}
"""Of each outcome; of all but the first one, less is better."""


class NoExperiment(ThalwegError, LookupError):
    """There is nothing to report of."""


class Comparison(msgspec.Struct):
    """One figure in one segment."""

    segment: str
    figure: str
    control: float
    candidate: float
    difference: float
    low: float | None
    """Ends of the interval of the difference, which holds however often one looks; none while there
    are too few users."""
    high: float | None
    is_sure: bool
    """Whether the interval leaves no doubt about the direction."""


class ExperimentReport(msgspec.Struct):
    """What is known so far."""

    name: str
    candidate: str
    users: dict[str, int]
    outcomes: dict[str, int]
    sample_ratio_evidence: float
    """Power of ten of the evidence that users were not shuffled as planned; at `SUSPICIOUS` or
    more no figure is to be believed."""
    strangers: int
    """Users who were answered as another rollout would have it; left out."""
    comparisons: list[Comparison]


def report(
    rollout: Rollout,
    predictions: pl.LazyFrame,
    outcomes: pl.LazyFrame,
    *,
    segments: Sequence[tuple[str, pl.Expr]] = (),
) -> ExperimentReport:
    """Compare the groups of a rollout by what came of their predictions.

    Predictions whose label is not known yet count for nothing. A user is one observation, however
    many outcomes there are.

    Parameters
    ----------
    rollout
        With the largest exposure that it had: who came in by a later step is in since then.
    segments
        Name and condition on a row of outcomes; figures are given of each, beside those of all.

    Raises
    ------
    NoExperiment
        No outcome of a user in the experiment is known.
    """
    answered = predictions.filter(pl.col("variant") != "champion").select(
        "prediction_id", "variant", "decision"
    )
    rows = _judged(outcomes).join(answered, on="prediction_id").collect()
    if rows.is_empty():
        raise NoExperiment(
            f"no outcome of the rollout {rollout.name} is in the offline store: "
            "does `archive` run, and is exposure above 0?"
        )
    planned = {user: rollout.variant(user) for user in rows["user_id"].unique()}
    is_ours = pl.col("user_id").replace_strict(planned) == pl.col("variant")
    strangers = rows.filter(~is_ours)["user_id"].n_unique()
    rows = rows.filter(is_ours)
    users = {
        variant: rows.filter(pl.col("variant") == variant)["user_id"].n_unique()
        for variant in ("control", "candidate")
    }
    return ExperimentReport(
        rollout.name,
        rollout.candidate,
        users,
        {name: rows.filter(pl.col("variant") == name).height for name in users},
        evidence([*users.values()], [1 - rollout.split, rollout.split]),
        strangers,
        [
            _compare(segment, figure, rows.filter(condition))
            for segment, condition in (("all", pl.lit(value=True)), *segments)
            for figure in FIGURES
        ],
    )


def _judged(outcomes: pl.LazyFrame) -> pl.LazyFrame:
    """Leave out what is not judged, and tell of the rest how many each stands for."""
    is_told = "judged" in outcomes.collect_schema()  # former releases did not
    judged = pl.col("judged").fill_null(1.0) if is_told else pl.lit(1.0)
    return outcomes.with_columns(judged.alias("judged")).filter(pl.col("judged") > 0)


def _compare(segment: str, figure: str, rows: pl.DataFrame) -> Comparison:
    judged = pl.col("judged")
    by_user = rows.group_by("variant", "user_id").agg(
        (FIGURES[figure] * judged).sum().alias("sum"), judged.sum().alias("count")
    )

    def group(variant: str) -> Group:
        of_variant = by_user.filter(pl.col("variant") == variant)
        return Group(of_variant["sum"].to_list(), of_variant["count"].to_list())

    found = effect(group("control"), group("candidate"))
    is_known = found.high - found.low < float("inf")
    return Comparison(
        segment,
        figure,
        found.control,
        found.candidate,
        found.difference,
        found.low if is_known else None,
        found.high if is_known else None,
        is_known and found.is_sure,
    )


def segments_of(
    compiled: FeatureSet, features: Sequence[Feature], field: str
) -> list[tuple[str, pl.Expr]]:
    """Make a segment of each value of a field that the pipeline tells apart, and one of the others.

    Raises
    ------
    InvalidDeclaration
        The pipeline has no `one_of` of the field; names those that there are.
    """
    fields = {each.field: each for each in features if isinstance(each, OneOf)}
    chosen = fields.get(field)
    if chosen is None:
        known = ", ".join(fields) or "no field"
        raise InvalidDeclaration(f"the pipeline has no one_of of `{field}`, but of {known}")
    is_ours = pl.col("schema") == compiled.schema
    values = {
        f"{field}={value}": pl.col("features").list.get(
            compiled.names.index(name), null_on_oob=True
        )
        == 1.0
        for value, name in zip(chosen.values, chosen.names, strict=True)
    }
    segments = [(name, is_ours & has_it) for name, has_it in values.items()]
    return [*segments, (f"{field}: others", is_ours & ~pl.any_horizontal(*values.values()))]
