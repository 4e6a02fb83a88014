"""A real Chromium that looks at the page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.page.behind import Shown

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
]
TIMEOUT_MS = 60_000
Scheme = Literal["light", "dark"]

# Notes when the count of events stands painted: after the frame that its change is drawn in.
WATCH = """
window.shown = [];
window.firstData = null;
new MutationObserver(() => {
  const node = document.querySelector('data[data-metric="events_total"]');
  if (!node || node.value === "") return;
  const count = Number(node.value);
  if (window.shown.length && window.shown.at(-1)[1] === count) return;
  const entry = [0, count];
  window.shown.push(entry);
  requestAnimationFrame(() => requestAnimationFrame(() => {
    entry[0] = performance.timeOrigin + performance.now();
    window.firstData ??= performance.now();
  }));
}).observe(document, {
  subtree: true, childList: true, attributes: true, attributeFilter: ["value"],
});
new PerformanceObserver((list) => {
  window.largest = list.getEntries().at(-1).startTime;
}).observe({ type: "largest-contentful-paint", buffered: true });
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the Chromium of this system."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    path = next(filter(None, found), None)
    if path is None:
        raise SystemExit("no Chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def visit(
    browser: Browser, url: str, scheme: Scheme = "light", width: int = 1280
) -> Iterator[Page]:
    """Open the page as somebody does who was never there, and wait for its first figure."""
    page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    page.add_init_script(WATCH)
    page.goto(url)
    page.wait_for_function("() => window.firstData !== null", timeout=TIMEOUT_MS)
    yield page
    page.close()


def paints_ms(page: Page) -> dict[str, float]:
    """Tell when the page painted first, most, and its first figure, from the navigation on."""
    told: dict[str, Any] = page.evaluate(
        """() => ({
            first: performance.getEntriesByName("first-contentful-paint")[0].startTime,
            largest: window.largest,
            data: window.firstData,
        })"""
    )
    return {
        "first contentful paint": told["first"],
        "largest contentful paint": told["largest"],
        "first figure": told["data"],
    }


def watch(page: Page, seconds: float) -> Shown:
    """Tell which counts of events were painted when, over a while."""
    page.wait_for_timeout(seconds * 1000)
    shown: Shown = page.evaluate("window.shown.filter(([at]) => at > 0)")
    return shown


def wait_for_events(page: Page, n: int) -> None:
    """Wait until the page counts so many."""
    page.wait_for_function(
        """n => Number(document.querySelector('data[data-metric="events_total"]').value) >= n""",
        arg=n,
        timeout=600_000,
    )


def shoot(browser: Browser, url: str, directory: Path) -> None:
    """Take the pictures of the documents: the overview in both schemes, a signal and an alert."""
    schemes: tuple[tuple[Scheme, str], ...] = (("light", ""), ("dark", "-dark"))
    for scheme, suffix in schemes:
        with visit(browser, url, scheme) as page:
            page.locator("#latency-chart canvas").wait_for(timeout=TIMEOUT_MS)
            page.wait_for_timeout(5_000)  # the charts have their past, and transitions are over
            page.screenshot(path=directory / f"ops-page{suffix}.png", full_page=True)
    with visit(browser, url) as page:
        page.locator('#shift a[href^="#/signal/score"]').first.click(timeout=TIMEOUT_MS)
        page.locator("#drill-chart canvas").wait_for(timeout=TIMEOUT_MS)
        page.wait_for_timeout(2_000)
        page.locator("#drill").screenshot(path=directory / "ops-page-signal.png")
        drift = page.locator("#alerts > li", has=page.locator('[data-moved="world"]')).first
        drift.locator(".unfold").click(timeout=TIMEOUT_MS)
        drift.locator(".told").wait_for(timeout=TIMEOUT_MS)
        drift.screenshot(path=directory / "ops-page-alert.png")
