// How long the truth takes, and what became of labels.

import { byId as $, element, keep, number, setNumber, setText } from "./dom.js";
import { spanOf, text } from "./format.js";

export function showLabels({ fates, delays, delay_p50_seconds: p50, delay_p90_seconds: p90 }) {
  setNumber(document.querySelector('[data-metric="label_delay.p50"]'), p50);
  setNumber(document.querySelector('[data-metric="label_delay.p90"]'), p90);
  const steps = delays.map((step, i) => ({ ...step, from: i ? delays[i - 1].until : 0 }));
  // From the first that holds any to the last, and one more on either side.
  const held = steps.flatMap((step, i) => (step.n ? [i] : []));
  const shown = held.length ? steps.slice(Math.max(0, held[0] - 1), held.at(-1) + 2) : [];
  const most = Math.max(1, ...shown.map((step) => step.n));
  const told = (step) => (step.until === null ? `over ${spanOf(step.from)}` : spanOf(step.until));
  keep($("delays"), shown, (step) => String(step.from), () => element("i"), (bar, step) => {
    bar.style.setProperty("--share", step.n / most);
    bar.dataset.count = step.n;
    bar.title = `${spanOf(step.from)} to ${told(step)}: ${text("count", step.n)}`;
  });
  keep($("delays-axis"), shown, (step) => String(step.from), () => element("span"), (span, step) => setText(span, told(step)));
  const total = shown.reduce((sum, step) => sum + step.n, 0);
  $("delays").ariaLabel = `${text("count", total)} labels by delay`;
  for (const id of ["delays", "delays-axis"]) $(id).hidden = total === 0;
  const make = ([fate]) => element("li", {}, `${fate.replaceAll("_", " ")} `, number(`labels.${fate}`, "count"));
  keep($("fates"), Object.entries(fates), ([fate]) => fate, make, (li, [, n]) => setNumber(li.lastChild, n));
  $("labels-empty").hidden = total > 0 || Object.keys(fates).length > 0;
}
