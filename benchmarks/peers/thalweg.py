"""Thalweg's transport: a Faust agent that is given batches."""

from collections.abc import AsyncIterator

import faust

from agents.kafka.app import App, Batch, KafkaSettings
from agents.kafka.client_settings import Delivery
from benchmarks.peers import task as peer


def main() -> None:
    """Run a worker with one agent."""
    task, work = peer.begin()
    process, target = work.process, task.target
    delivery: Delivery = "exactly_once" if task.delivery == "exactly_once" else "at_least_once"
    app = App(
        task.group,
        KafkaSettings(bootstrap=task.bootstrap, group=task.group, delivery=delivery),
    )

    @app.agent(app.topic(task.source, value_type=Batch))  # type: ignore[arg-type]
    async def predict(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        async for batch in batches:
            for record in batch:
                batch.emit(target, process(record.value() or b""), record.key())
            yield len(batch)

    faust.Worker(app, loglevel="warning", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
