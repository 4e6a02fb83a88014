"""`thalweg serve`."""


def serve() -> int:
    """Serve the ops page and the API until told to stop.

    For example:

        thalweg serve
        THALWEG_WEB_PORT=8080 thalweg serve
    """
    from agents import settings  # noqa: PLC0415  # --help stays quick
    from agents.serving.server import run  # noqa: PLC0415

    return run(settings.load())
