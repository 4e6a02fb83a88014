"""The counting app, whose consumer stops fetching behind the transport's back, once.

Usage: deaf_app.py SETTINGS-AS-JSON
"""

import json
import sys

import faust

from agents.kafka import watchdog
from tests.agents.kafka import counting_app


def build(**settings):
    app = counting_app.build(**settings)

    @app.task
    async def go_deaf():
        consumer = app.consumer
        while consumer.in_flight.n_retired == 0 or consumer.in_flight.n_records:
            await app.sleep(0.05)

        def pause(member):
            member.pause(member.assignment())
            sys.stderr.write("deaf now\n")

        consumer._poller._ask(pause)

    return app


if __name__ == "__main__":
    watchdog.HEAL_AFTER_S, watchdog.PARTITIONS_EVERY_S = 2.0, 0.5  # type: ignore[misc]
    app = build(**json.loads(sys.argv[1]))
    faust.Worker(app, loglevel="info", redirect_stdouts=False).execute_from_commandline()
