"""`make bench`: run every benchmark and print its figures."""

from benchmarks import predict_core

for name, value in predict_core.run().items():
    print(f"{name:20} {value:8.2f}")
