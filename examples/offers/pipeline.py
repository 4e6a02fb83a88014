"""Which offer to show to a visitor of a shop? A bandit finds out what works for whom.

It bundles no history: publish events to it.

Whoever reads `predictions` shows the offer that `arm` names. If the visitor buys within half an
hour that was worth 1, otherwise 0. `propensity` says how probable the choice was, so that another
policy can be judged by what this one chose.

Examples
--------
>>> from agents.testing import PipelineDriver
>>> driver = PipelineDriver(PIPELINE)
>>> for hour in range(12):
...     driver.advance(timedelta(hours=1))
...     for n in range(10):
...         visit = {"user_id": f"{hour}-{n}", "action": "visit", "ts": driver.now_ms}
...         driver.append(visit | {"platform": ("mobile", "desktop")[n % 2]})
...     driver.process()
...     driver.advance(timedelta(minutes=1))
...     for n, shown in enumerate(driver.predictions[-10:]):
...         if shown.arm == ("free-shipping", "discount")[n % 2]:
...             driver.append({"user_id": f"{hour}-{n}", "action": "buy", "ts": driver.now_ms})
...     driver.process()
>>> told = {each.user_id: each for each in reversed(driver.predictions)}
>>> told["0-0"].source, round(told["0-0"].propensity, 2)
('default', 0.33)
>>> for visitor in ("11-0", "11-1"):
...     print(told[visitor].source, told[visitor].arm, told[visitor].propensity > 0.5)
model free-shipping True
model discount True
"""

from datetime import timedelta

from agents.pipeline import Pipeline
from schemas.events import UserEvent
from streams.features import action, count, one_of, time_since
from streams.label_rule import happens_within

buy = action({"buy"}, name="buy")


class Visit(UserEvent, gc=False):
    """What a visitor does."""

    platform: str | None = None
    """`mobile` or `desktop`."""


PIPELINE = Pipeline(
    use_case="which-offer",
    event=Visit,
    actions=frozenset({"visit", "buy"}),
    features=(
        one_of("platform", ("mobile",)),
        count(over=timedelta(hours=1)),
        count(buy, over=timedelta(days=30)),
        time_since(buy),
    ),
    # Were purchases known at once, offers would look better than they are until the rest is known.
    label=happens_within("buy", timedelta(minutes=30), positive="at_maturity"),
    champion="bandit_thompson_v1",
    challengers=("bandit_epsilon_greedy_v1",),
    arms=("none", "discount", "free-shipping"),
)
