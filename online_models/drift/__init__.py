"""Have the scores changed? `ScoreDrift` tells, and keeps a promise on false alarms.

`run_length`   what is promised: so many scores, or so much time, between false alarms
`detector`     owns the bets, and raises the alarm
`bets`         what a change would pay
`ranks`        where a score lies among those before
`dependence`   what a score tells of the next one
`moments`      what scores were, and whether a few more are like them

Did the model move, or the world? `TwinDrift` tells, from a frozen twin of the model.

`twin_drift`   holds the model against its twin
`segments`     which part of the traffic moved
`class_mix`    how often each class is named

What of the visits of all partitions? `VisitDrift` has two detectors, by means of ten visits.

`answer_drift` do answers still come as the twin expects them?
`block_drift`  have scores changed?

Do users do what they did? `ActionMix` tells, of actions that were rare or never seen.

`action_mix`   how rare an action is among all
"""

from online_models.drift.action_mix import ActionMix
from online_models.drift.answer_drift import AnswerDrift, rest_of
from online_models.drift.bets import SIGNALS, Signal
from online_models.drift.detector import DriftAlarm, ScoreDrift, Standing
from online_models.drift.run_length import RunLength
from online_models.drift.segments import Segments
from online_models.drift.twin_drift import Moved, TwinAlarm, TwinDrift
from online_models.drift.visit_drift import VisitDrift

__all__ = [
    "SIGNALS",
    "ActionMix",
    "AnswerDrift",
    "DriftAlarm",
    "Moved",
    "RunLength",
    "ScoreDrift",
    "Segments",
    "Signal",
    "Standing",
    "TwinAlarm",
    "TwinDrift",
    "VisitDrift",
    "rest_of",
]
