"""`make bench`: run all benchmarks, or those named: `python -m benchmarks latency --json`."""

import argparse
import json
import os

from benchmarks import latency, throughput

BENCHMARKS = {"throughput": throughput.run, "latency": latency.run}

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
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
