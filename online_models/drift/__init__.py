"""Have the scores changed? `ScoreDrift` tells, and keeps a promise on false alarms.

`run_length`   what is promised: so many scores, or so much time, between false alarms
`detector`     owns the bets, and raises the alarm
`bets`         what a change would pay
`ranks`        where a score lies among those before
`dependence`   what a score tells of the next one
"""

from online_models.drift.bets import SIGNALS, Signal
from online_models.drift.detector import DriftAlarm, ScoreDrift, Standing
from online_models.drift.run_length import RunLength

__all__ = ["SIGNALS", "DriftAlarm", "RunLength", "ScoreDrift", "Signal", "Standing"]
