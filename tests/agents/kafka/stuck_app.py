"""The counting app, whose first producer is never initialised: librdkafka does not come back.

Usage: stuck_app.py SETTINGS-AS-JSON
"""

import json
import sys
import threading

import faust

from agents.kafka import calls, exactly_once
from tests.agents.kafka import counting_app


def never_return(producer, timeout_s):
    threading.Event().wait()


if __name__ == "__main__":
    calls.CALL_TIMEOUT_S = calls.GRACE_S = 1.0  # type: ignore[misc]
    exactly_once.initialise = never_return  # type: ignore[attr-defined]
    app = counting_app.build(**json.loads(sys.argv[1]))
    faust.Worker(app, loglevel="info", redirect_stdouts=False).execute_from_commandline()
