"""`thalweg serve`: the ops page in a process of its own."""

import signal
from typing import Final

import uvicorn

from agents import pipeline
from agents.serving.actions import Actions
from agents.serving.address import listen
from agents.serving.attribution import AttributionPage
from agents.serving.feed import Feed
from agents.serving.letters import LetterPage
from agents.serving.overview import Overview
from agents.serving.reviews import ReviewPage
from agents.serving.sketch_feed import SketchFeed
from agents.serving.web import web_app
from agents.settings import Settings

SHUTDOWN_TIMEOUT_S: Final = 3


def run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; tell the exit code.

    Raises
    ------
    InvalidSetting
        The address cannot be had, or is not for everybody to reach.
    """
    with listen(settings.web_host, settings.web_port) as listener:
        declared = pipeline.load(settings.pipeline)
        actions = Actions(settings, declared)
        has_actions = actions.permission.exists
        overview = Overview(declared, settings.delivery, has_actions=has_actions)
        pages = (
            *(ReviewPage(settings, declared), LetterPage(settings)),
            *(AttributionPage(settings, declared), actions),
        )
        routes = [route for page in pages for route in page.routes]
        sketches = SketchFeed(settings, declared.use_case)
        config = uvicorn.Config(
            web_app(Feed(settings), sketches, overview, settings.web_host, routes),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        )
        # uvicorn shuts down on these, then raises them again; by then there is nothing to do.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        server = uvicorn.Server(config)
        server.run(sockets=[listener])
    return 0 if server.started else 1
