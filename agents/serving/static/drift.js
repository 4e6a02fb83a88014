// The scores, and how much speaks for their having changed.

import { byId as $, element, keep, number, setNumber } from "./dom.js";
import { drillLink } from "./drill.js";
import { text } from "./format.js";

export function showScores(counts) {
  const total = counts.reduce((sum, n) => sum + n, 0);
  const most = Math.max(1, ...counts);
  const bins = counts.map((n, i) => ({ n, low: i / counts.length, high: (i + 1) / counts.length }));
  keep($("scores"), bins, (bin) => `scores.${bin.high.toFixed(2)}`, () => element("i"), (bar, bin) => {
    bar.style.setProperty("--share", bin.n / most);
    bar.dataset.count = bin.n;
    bar.title = `${bin.low.toFixed(2)} to ${bin.high.toFixed(2)}: ${text("count", bin.n)}`;
  });
  $("scores").ariaLabel = total ? `Distribution of ${text("count", total)} scores` : "No scores in the last minute";
}

export function showDrift(rows) {
  const make = (row) => {
    const name = `drift.${row.partition}.${row.signal}`;
    const track = element("div", { className: "track", role: "meter" }, element("i"));
    track.ariaLabel = `Drift of ${row.signal} on partition ${row.partition}`;
    return element("li", {},
      element("span", {}, drillLink("partition", row.partition, `partition ${row.partition}`), `, ${row.signal.replaceAll("_", " ")}`),
      element("span", { className: "figure" },
        number(`${name}.statistic`, "figure"), " of ", number(`${name}.threshold`, "figure")),
      track,
      element("span", { className: "means" },
        "mean ", number(`${name}.mean`, "figure"), ", reference ", number(`${name}.reference`, "figure"),
        ", alarms ", number(`${name}.alarms`, "count")));
  };
  keep($("drift"), rows, (row) => `${row.partition} ${row.signal}`, make, (li, row) => {
    const share = row.threshold ? Math.min(1, row.statistic / row.threshold) : 0;
    ["statistic", "threshold", "mean", "reference", "alarms"].forEach((figure, i) => {
      setNumber(li.querySelectorAll("data")[i], row[figure]);
    });
    const track = li.querySelector(".track");
    track.firstChild.style.setProperty("--share", share);
    track.ariaValueMin = 0;
    track.ariaValueMax = row.threshold;
    track.ariaValueNow = row.statistic;
    li.className = share >= 1 ? "past" : share >= 0.75 ? "near" : "";
  });
  $("drift-empty").hidden = rows.length > 0;
}
