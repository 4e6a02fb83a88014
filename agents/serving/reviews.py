"""The page on which people judge uncertain decisions: plain HTML, without a script."""

import asyncio
from collections.abc import Sequence
from html import escape
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from agents.admin import reviews
from agents.commands.output import local_time
from agents.pipeline import Pipeline
from agents.settings import Settings
from schemas.errors import DeliveryFailed, ThalwegError
from schemas.review import ReviewItem

PATH: Final = "/reviews"
SHOWN: Final = 20
MOST_BYTES: Final = 10_000
"""Of a form."""
MOST_WORDS: Final = 500
"""Characters of a name or a reason."""
FORBIDDEN: Final = "A verdict is given on this page, and not from elsewhere.\n"

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Reviews of {use_case} - Thalweg</title>
  <link rel="icon" href="/static/mark.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/static/style.css">
  <link rel="stylesheet" href="/static/reviews.css">
</head>
<body class="reviews">
  <header class="masthead">
    <h1>What is true?</h1>
    <p>{told} <a href="/">The whole system</a></p>
  </header>
  <main>{items}</main>
</body>
</html>
"""
_ITEM: Final = """
<section class="panel" id="{id}">
  <h2>{user}, {at}</h2>
  <p>Score {score}, so <strong>{decision}</strong> was decided, by {model}. Stands for {stands_for}
    such decisions. <small>{id}</small></p>
  <details><summary>What it rests on</summary>
    <table class="compact"><tbody>{features}</tbody></table></details>
  <form method="post" action="/reviews">
    <input type="hidden" name="prediction_id" value="{id}">
    <label>Who are you? <input name="by" required maxlength="100" value="{by}"></label>
    <label>Why? <input name="why" maxlength="500"></label>
    <button name="label" value="true">It is true</button>
    <button name="label" value="false">It is false</button>
  </form>
</section>"""


class ReviewPage:
    """Shows what waits, and takes verdicts."""

    def __init__(self, settings: Settings, pipeline: Pipeline) -> None:
        self._settings = settings
        self._pipeline = pipeline

    @property
    def routes(self) -> list[Route]:
        """Where they are shown and judged."""
        return [Route(PATH, self.show), Route(PATH, self.answer, methods=["POST"])]

    async def show(self, request: Request) -> Response:
        """Answer a GET."""
        use_case = self._pipeline.use_case
        if self._pipeline.review is None:
            told = "Nobody is asked: Pipeline(review=Review(confidence=..., per_day=...))."
            return HTMLResponse(_page(use_case, told))
        try:
            items = await asyncio.to_thread(reviews.waiting, self._settings, self._pipeline)
        except DeliveryFailed as failure:
            return HTMLResponse(_page(use_case, str(failure)), 503)
        return HTMLResponse(page(use_case, items, by=request.query_params.get("by", "")))

    async def answer(self, request: Request) -> Response:
        """Answer a POST, as a form sends it."""
        if not is_from_here(request.headers.get("origin"), request.headers.get("host")):
            return PlainTextResponse(FORBIDDEN, 403)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                return PlainTextResponse(f"A form has at most {MOST_BYTES} bytes.\n", 413)
        try:
            prediction_id, label, by, why = answered(body)
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", 400)
        try:
            await asyncio.to_thread(
                reviews.answer,
                *(self._settings, self._pipeline, prediction_id),
                label=label,
                by=by,
                why=why,
            )
        except DeliveryFailed as failure:
            return PlainTextResponse(f"{failure}\n", 503)
        except ThalwegError as error:  # somebody else was faster
            return PlainTextResponse(f"{error}\n", 409)
        # With GET, so that a reload does not answer again.
        return RedirectResponse(f"{PATH}?{urlencode({'by': by})}", 303)


def page(use_case: str, items: Sequence[ReviewItem], *, by: str = "") -> str:
    """Write the page.

    Whatever came from events stands in it as text.

    >>> "&lt;script&gt;" in page("<script>", [])
    True
    """
    shown = items[:SHOWN]
    told = f"{len(items)} decisions wait." if len(items) != 1 else "One decision waits."
    if len(items) > SHOWN:
        told += f" The newest {SHOWN}:"
    return _page(use_case, told, "".join(_item(each, by) for each in shown))


def _page(use_case: str, told: str, items: str = "") -> str:
    return _PAGE.format(use_case=escape(use_case), told=escape(told), items=items)


def _item(item: ReviewItem, by: str) -> str:
    rows = (
        f'<tr><th scope="row">{escape(name)}</th><td class="number">{value:.6g}</td></tr>'
        for name, value in item.features.items()
    )
    return _ITEM.format(
        id=escape(item.prediction_id),
        user=escape(item.user_id),
        at=local_time(item.event_at),
        score=f"{item.score:.3f}",
        decision=str(item.decision).lower(),
        model=escape(f"{item.model}@{item.model_version}"),
        stands_for=f"{1 / item.probability:.1f}",
        features="".join(rows),
        by=escape(by),
    )


def is_from_here(origin: str | None, host: str | None) -> bool:
    """Tell whether a form was sent by this very page: a browser says where it comes from.

    A page elsewhere can have a form sent here, with nobody noticing, but under its own name.

    >>> is_from_here("http://127.0.0.1:8600", "127.0.0.1:8600")
    True
    >>> [is_from_here(origin, "127.0.0.1:8600") for origin in (None, "http://example.org", "//[")]
    [False, False, False]
    """
    if not origin or not host:
        return False
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False  # no address at all


def answered(body: bytes) -> tuple[str, bool, str, str]:
    """Read a form: which prediction, what is true, who says so and why.

    Raises
    ------
    ValueError
        Says what is missing.

    >>> answered(b"prediction_id=shop%3Ae1&label=true&by=ada&why=")
    ('shop:e1', True, 'ada', '')
    >>> answered(b"prediction_id=shop%3Ae1+&label=false&by=+ada")
    ('shop:e1 ', False, 'ada', '')
    >>> answered(b"prediction_id=shop%3Ae1&label=true")
    Traceback (most recent call last):
    ValueError: the form lacks `by`
    """
    try:
        found = parse_qs(body.decode("ascii"))
    except UnicodeDecodeError as error:
        raise ValueError("the form is not encoded as one") from error
    fields = {name: values[0] for name, values in found.items()}
    for name in ("by", "why"):  # an id is what it is, to its last space
        fields[name] = fields.get(name, "").strip()
    for name in ("prediction_id", "label", "by"):
        if not fields.get(name):
            raise ValueError(f"the form lacks `{name}`")
    if fields["label"] not in ("true", "false"):
        raise ValueError("`label` is true or false")
    by, why = fields["by"][:MOST_WORDS], fields["why"][:MOST_WORDS]
    return fields["prediction_id"], fields["label"] == "true", by, why
