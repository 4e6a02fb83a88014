"""Faust as it is shipped: aiokafka, one event at a time, `await topic.send` for each."""

from collections.abc import AsyncIterator

import faust

from benchmarks.peers import task as peer


def main() -> None:
    """Run a worker with one ordinary agent."""
    task, work = peer.begin()
    app = faust.App(
        task.group,
        broker=f"kafka://{task.bootstrap}",
        value_serializer="raw",
        web_enabled=False,
        datadir=task.directory,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
    )
    source, target = app.topic(task.source), app.topic(task.target)

    @app.agent(source)
    async def predict(events: faust.StreamT[bytes]) -> AsyncIterator[bytes]:
        async for event in events.events():
            answer = work.process(event.value)
            await target.send(key=event.key, value=answer)
            yield answer

    faust.Worker(app, loglevel="warning", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
