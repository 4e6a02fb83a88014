"""`make bench`: run the benchmarks of predict, or those named: `python -m benchmarks latency`.

With options of their own: `python -m benchmarks peers` compares the transport with others,
`python -m benchmarks handover` lets workers join, leave and die under load, and
`python -m benchmarks beside` measures predict beside a forest that learns, and
`python -m benchmarks soak` watches a worker's memory for half an hour, and
`python -m benchmarks page` how soon the ops page is there in a real browser, and how far it is
behind. Without a broker,
`python -m benchmarks features` tells what rolling features cost,
`python -m benchmarks online` how quickly Redis tells them,
`python -m benchmarks models` how good each model is and what it costs,
`python -m benchmarks labels` what label rules make of the shop,
`python -m benchmarks levels` how soon a model that became worse is told of,
`python -m benchmarks answers` what watches over scores and answers find in the shop, and
`python -m benchmarks drift` how often drift detectors cry wolf, and how soon they tell of one.
"""

import argparse
import json
import os
import sys

from benchmarks import beside, labels, latency, online_reads, throughput
from benchmarks.drift import answers
from benchmarks.drift import command as drift
from benchmarks.features import command as features
from benchmarks.handover import command as handover
from benchmarks.levels import command as levels
from benchmarks.models import command as models
from benchmarks.page import command as page
from benchmarks.peers import command as peers
from benchmarks.soak import command as soak

BENCHMARKS = {"throughput": throughput.run, "latency": latency.run}

OTHERS = {
    "peers": peers.run,
    "handover": handover.run,
    "beside": beside.run,
    "soak": soak.run,
    "page": page.run,
    "features": features.run,
    "online": online_reads.run,
    "models": models.run,
    "labels": labels.run,
    "levels": levels.run,
    "drift": drift.run,
    "answers": answers.run,
}

if sys.argv[1:2] and sys.argv[1] in OTHERS:
    sys.exit(OTHERS[sys.argv[1]](sys.argv[2:]))
parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument(
    "names", nargs="*", metavar="NAME", help=f"of {', '.join((*BENCHMARKS, *OTHERS))}"
)
parser.add_argument("--json", action="store_true")
arguments = parser.parse_args()
if unknown := set(arguments.names) - set(BENCHMARKS):
    parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
figures = {
    name: run()
    for name, run in BENCHMARKS.items()
    if not arguments.names or name in arguments.names
}
if arguments.json:
    print(json.dumps({"load_before": os.getloadavg()[0], **figures}))
else:
    for name, measured in figures.items():
        print(name)
        for what, value in measured.items():
            print(f"  {what:28} {value:>12,}")
