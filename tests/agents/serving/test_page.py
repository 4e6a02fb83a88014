"""The ops page in a real browser, on a real server and a real broker."""

import time
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page

from agents.monitoring.sketch_fold import DAY_MS
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from examples.shop.pipeline import PIPELINE
from online_models.sketch import Sketch, score_cell
from schemas.alerts import Alert
from schemas.sketches import SCORE, SketchMinute
from tests.agents.serving.conftest import MakeSite, Site

pytestmark = pytest.mark.integration

TIMEOUT_MS = 15_000
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
UNKNOWN = "\N{EN DASH}"


def expect(page: Page, metric: str, value: float) -> None:
    """Wait until a number stands on the page."""
    page.wait_for_function(
        """([metric, value]) => {
            const node = document.querySelector(`data[data-metric="${metric}"]`);
            return node && node.value !== "" && Math.abs(Number(node.value) - value) < 1e-9;
        }""",
        arg=[metric, value],
        timeout=TIMEOUT_MS,
    )


def expect_state(page: Page, state: str) -> None:
    page.wait_for_function(
        "state => document.body.dataset.state === state", arg=state, timeout=TIMEOUT_MS
    )


def say_all(site: Site) -> None:
    """Two seconds in the life of a system."""
    predict, learn, watch = Metrics(), Metrics(), Metrics()
    now_ms = time.time_ns() // 1_000_000
    for ago_ms in (2_000, 0):
        for metrics in (predict, learn, watch):
            metrics.gauge(metric_list.READY).set(1)
        predict.counter(metric_list.EVENTS, topic="user-events").inc(1_000)
        predict.counter(metric_list.EVENTS, topic="labels").inc(5)
        predict.counter(metric_list.PREDICTIONS).inc(990)
        predict.counter(metric_list.DUPLICATES).inc(3)
        predict.counter(metric_list.DEAD_LETTERS, reason="not_json").inc(7)
        predict.histogram(metric_list.SCORES).observe_many([0.02] * 30 + [0.42] * 10)
        partition = {"partition": 1, "signal": "score_mean"}
        predict.gauge(metric_list.DRIFT_STATISTIC, **partition).set(3.5)
        predict.gauge(metric_list.DRIFT_THRESHOLD, **partition).set(14.0)
        predict.gauge(metric_list.MODEL_VERSION, model=PIPELINE.champion).set(12)
        for model, p99_s in ((PIPELINE.champion, 0.0004), (PIPELINE.challengers[0], 0.0041)):
            predict.gauge(metric_list.MODEL_ASKING_SECONDS, model=model).set(p99_s)
            predict.gauge(metric_list.MODEL_MAY_SERVE, model=model).set(float(p99_s < 0.002))
        learn.gauge(metric_list.MODEL_ROC_AUC, model=PIPELINE.champion).set(0.842)
        learn.histogram(metric_list.LABEL_DELAY_SECONDS).observe_many([30.0] * 8 + [7_000.0] * 2)
        learn.gauge(metric_list.MODEL_LOG_LOSS, model=metric_list.BASELINE_RATE).set(0.325)
        watch.histogram(metric_list.LATENCY_SECONDS).observe_many([0.0095] * 980 + [0.0375] * 20)
        lag = {"group": "learn", "topic": "outcomes"}
        watch.gauge(metric_list.LAG_RECORDS, **lag).set(17)
        watch.gauge(metric_list.LAG_SECONDS, **lag).set(1.25)
        use_case = {"use_case": PIPELINE.use_case}
        watch.gauge(metric_list.QUALITY_SCORE, **use_case).set(0.975)
        watch.gauge(metric_list.QUALITY_NULL_RATIO, field="platform", **use_case).set(0.125)
        found = {"field": "platform", "finding": "unknown_category"}
        watch.gauge(metric_list.QUALITY_FINDING_RATIO, **found, **use_case).set(0.034)
        watch.counter(metric_list.PARITY_COMPARED).inc(200)
        watch.counter(metric_list.PARITY_MISSING).inc(2)
        watch.counter(metric_list.PARITY_EXTRA).inc(1)
        watch.counter(metric_list.PARITY_MISMATCHES, feature="click_rate_7d").inc(5)
        for process, metrics in (("predict-0", predict), ("learn-0", learn), ("watch-0", watch)):
            site.say(process, metrics, now_ms - ago_ms)


def sketch_days(site: Site) -> None:
    """A week of scores that is the reference, and a day that is like it; events of 1970."""
    cells = {score_cell(0.12): 150, score_cell(0.72): 50}
    sketch = Sketch.of(cells, squares=200).encode()
    for day in range(9):
        at = day * DAY_MS + 7_200_000
        names = (PIPELINE.use_case, at, 0, PIPELINE.champion)
        site.sketch(SketchMinute(*names, [SCORE], [sketch]))


def serious(page: Page) -> list[str]:
    """Tell what keeps people from using the page, as axe-core finds it."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {each['help']}: {[node['target'] for node in each['nodes'][:3]]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


def walk_by_keyboard(page: Page) -> None:
    """Of the page that `say_all` fed."""
    page.focus('#drift a[href="#/partition/1"]')
    page.keyboard.press("Enter")
    page.locator("#drill-title", has_text="partition 1").wait_for(timeout=TIMEOUT_MS)
    page.locator("#drill-chart canvas").wait_for(timeout=TIMEOUT_MS)
    assert page.url.endswith("#/partition/1")
    assert "3.5 of 14" in page.inner_text("#drill-facts")
    page.keyboard.press("Escape")
    page.locator("#drill").wait_for(state="hidden", timeout=TIMEOUT_MS)

    page.focus("#clocks [data-clock=event]")
    for clock, lanes in (("event", 2), ("wall", 4)):
        page.keyboard.press("Enter")
        assert page.get_attribute("#lanes", "data-clock") == clock
        assert page.locator(".lane-names li").filter(visible=True).count() == lanes
        page.keyboard.press("Tab")

    page.focus('#shift a[href^="#/signal/score"]')
    page.keyboard.press("Enter")
    page.locator("#drill-title", has_text="day by day").wait_for(timeout=TIMEOUT_MS)
    page.locator("#drill-legend", has_text="threshold").wait_for(timeout=TIMEOUT_MS)
    page.keyboard.press("Escape")

    page.goto(f"{page.url.partition('#')[0]}#/feature/platform")
    page.locator("#drill-facts", has_text="unknown category").wait_for(timeout=TIMEOUT_MS)
    page.goto(f"{page.url.partition('#')[0]}#/model/{PIPELINE.champion}")
    page.locator("#drill-facts", has_text="version").wait_for(timeout=TIMEOUT_MS)

    page.evaluate("document.activeElement.blur()")
    page.keyboard.type("/platform")
    assert page.input_value("#filter") == "platform"
    assert page.locator("#quality tr").filter(visible=True).count() == 1
    assert page.locator("#models tr").filter(visible=True).count() == 0
    page.keyboard.press("Escape")
    assert page.locator("#models tr").filter(visible=True).count() == 4

    page.keyboard.type("gm")
    assert page.evaluate("document.activeElement.id") == "models-title"
    page.keyboard.type("?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")
    assert page.is_hidden("#help")


def test_the_page_waits_for_telemetry_honestly_then_shows_the_real_numbers(
    make_site: MakeSite, page: Page
) -> None:
    site = make_site()
    page.goto(site.url)
    expect_state(page, "waiting")
    assert page.inner_text("#health-text") == "Waiting for telemetry"
    assert page.inner_text('[data-metric="events_per_second"]') == UNKNOWN

    assert page.inner_text("#parity-empty") == "Nothing is compared yet."

    say_all(site)
    sketch_days(site)

    expect(page, "events_per_second", 500)
    expect(page, "predictions_per_second", 495)
    expect_state(page, "well")
    assert page.inner_text("#health-text") == "All well: 3 of 3 processes ready"
    assert page.inner_text('[data-metric="events_per_second"]') == "500/s"
    for metric, value in {
        "events_total": 2_000,
        "predictions_total": 1_980,
        "duplicates_total": 6,
        "dead_letters_total": 14,
        "dead_letters.not_json": 14,
        "lag.learn.outcomes.records": 17,
        "lag.learn.outcomes.seconds": 1.25,
        "drift.1.score_mean.statistic": 3.5,
        f"models.{PIPELINE.champion}.version": 12,
        f"models.{PIPELINE.champion}.roc_auc": 0.842,
        f"models.{PIPELINE.champion}.asking_p99_seconds": 0.0004,
        "models.baseline_base_rate.log_loss": 0.325,
        "quality.score": 0.975,
        "quality.platform.null": 0.125,
        "quality.platform.unknown_category": 0.034,
        "label_delay.p50": 41.25,
        f"shift.score.{PIPELINE.champion}.distance": 0.0,
        "parity.compared": 400,
        "parity.missing": 4,
        "parity.extra": 2,
        "parity.click_rate_7d.mismatches": 10,
        "parity.click_rate_7d.share": 0.025,
    }.items():
        expect(page, metric, value)
    for tile, value in {"quality_score": 0.975, "predictions_per_second": 495}.items():
        expect(page, f"tiles.{tile}", value)
    assert "missed" not in (page.get_attribute('#tiles [data-key="quality_score"]', "class") or "")
    assert page.inner_text('#tiles [data-key="quality_score"] .goal') == "goal ≥ 0.950"
    assert page.inner_text("#since").startswith("since ")
    assert page.inner_text("#changed") == "Nothing was decided about models yet."
    assert page.locator(".act").count() == 0  # no token, no actions
    # 0.0095 s lies in the bucket (0.008, 0.01]: half of it is at 0.008 + 0.002 * 500/980.
    expect(page, "latency_p50_seconds", 0.008 + 0.002 * 500 / 980)
    assert page.inner_text('[data-metric="latency_p99_seconds"]') == "38ms"
    assert page.locator("#models .part").all_inner_texts()[:2] == [
        "champion",
        "challenger, too slow to serve",
    ]
    assert page.inner_text("#quality .findings span") == "unknown category 3.4%"
    assert page.is_visible("#parity-table")
    assert page.is_hidden("#parity-empty")
    assert page.locator("#scores i").evaluate_all(
        "bars => bars.map(bar => +bar.dataset.count)"
    ) == [
        *([30] + [0] * 7 + [10] + [0] * 11),
    ]
    assert page.inner_text("#scores-was") == "reference: 1 Jan to 7 Jan 1970"
    stairs = page.get_attribute("#scores-reference path", "d") or ""
    assert stairs.count("L") == 2 * len(page.query_selector_all("#scores i")) - 1
    walk_by_keyboard(page)


def test_models_of_classes_stand_with_the_figures_that_they_are_judged_by(
    make_site: MakeSite, page: Page
) -> None:
    site, learn = make_site("tests.agents.serving.garden_pipeline"), Metrics()
    model = "multiclass_softmax_v1"
    learn.gauge(metric_list.MODEL_FIGURE, figure="accuracy", model=model).set(0.8125)
    learn.gauge(metric_list.MODEL_LOG_LOSS, model=model).set(0.625)
    site.say("learn-0", learn, time.time_ns() // 1_000_000)
    page.goto(site.url)

    expect(page, f"models.{model}.accuracy", 0.8125)
    expect(page, f"models.{model}.log_loss", 0.625)
    titles = page.locator("th.figure").all_inner_texts()
    assert [title.lower() for title in titles] == ["accuracy", "recent", "macro f1", "log loss"]


def test_alerts_appear_as_they_are_raised_and_their_words_are_only_words(
    make_site: MakeSite, page: Page
) -> None:
    site = make_site()
    page.goto(site.url)
    expect_state(page, "waiting")
    hostile = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
    evidence = {"note": hostile, "n": 18_211}
    site.raise_alert(
        Alert("d1", "drift", "critical", "u", hostile, 0.181, 0.05, 1_709_251_200_000, evidence)
    )

    alert = page.locator("#alerts li")
    alert.wait_for(timeout=TIMEOUT_MS)
    page.click("#alerts .unfold")
    text = alert.inner_text()
    assert hostile in text
    for part in (
        "critical",
        "0.181 against 0.05",
        "viral article",
        "2024-03-01 00:00 UTC",
        "18211",
    ):
        assert part in text
    mark = page.locator('#happened li[data-kind="alert"] .mark')
    assert mark.count() == 0  # raised in 2024, longer ago than the line reaches
    now_ms = time.time_ns() // 1_000_000
    site.raise_alert(Alert("d2", "drift", "warning", "u", hostile, 0.1, 0.05, now_ms))
    mark.focus(timeout=TIMEOUT_MS)
    assert hostile in mark.inner_text()
    assert page.locator("main img, main script").count() == 0
    assert page.title() != "1"


def test_the_page_says_so_when_its_stream_stops_and_recovers(
    make_site: MakeSite, page: Page
) -> None:
    site = make_site()
    page.goto(site.url)
    say_all(site)
    expect_state(page, "well")
    site.stop()
    expect_state(page, "stale")
    assert page.inner_text("#health-text").startswith("Stale: nothing heard for")
    site.start()
    say_all(site)
    expect_state(page, "well")


def test_the_page_fits_every_width_in_both_themes_and_keeps_nobody_out(
    make_site: MakeSite, page: Page, tmp_path: Path
) -> None:
    site = make_site()
    page.goto(f"{site.url}#/partition/1")
    say_all(site)
    sketch_days(site)
    segment = {"segment": "platform=mobile", "moved": "score", "z": 5.2}
    evidence = {"event_at": DAY_MS, "partition": 1, "moved": "world", "segment": segment}
    site.raise_alert(Alert("d1", "drift", "warning", "u", "score_mean", 5.1, 5.0, DAY_MS, evidence))
    page.click("#alerts .unfold", timeout=TIMEOUT_MS)
    assert "the world moved" in page.inner_text("#alerts .plain")
    assert "most: platform mobile" in page.inner_text("#alerts .plain")
    of_action = evidence | {"action": "checkout_bug"}
    site.raise_alert(Alert("d2", "drift", "warning", "u", "action_mix", 5, 5, DAY_MS, of_action))
    did = page.locator("#alerts li", has_text="action checkout_bug")
    assert "twin" not in str(did.locator(".chip").first.get_attribute("title", timeout=TIMEOUT_MS))
    assert [each for each in did.locator("dt").all_text_contents() if each == "action"] == [
        "action"
    ]
    expect(page, "events_total", 2_000)
    expect(page, f"shift.score.{PIPELINE.champion}.distance", 0.0)
    page.locator("#drill-chart canvas").wait_for(timeout=TIMEOUT_MS)
    for width, scheme in product((390, 800, 1280), SCHEMES):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        picture = page.screenshot(path=tmp_path / f"page-{width}-{scheme}.png", full_page=True)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")

        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator("canvas").count() == 4
        assert len(picture) > 20_000
        assert (sum(map(int, background)) < 3 * 128) == (scheme == "dark")
        if width == 1280:
            assert serious(page) == []
