// How much speaks for the scores having changed, partition by partition.

import { byId as $, drillLink, element, keep, number, setNumber, setText } from "./dom.js";
import { text } from "./format.js";

const NEAR = 0.75; // of the threshold

export function showDrift(rows) {
  const signals = [...new Set(rows.map((row) => row.signal))];
  const byPartition = Object.entries(Object.groupBy(rows, (row) => row.partition))
    .sort(([a], [b]) => Number(a) - Number(b));
  const head = ["partition", ...signals, "alarms"];
  keep($("drift-head"), head, (name) => name, (name) => element("th", { scope: "col", className: name === "alarms" ? "number" : "" }),
    (th, name) => setText(th, name.replace("score_", "").replaceAll("_", " ")));
  const make = ([partition]) => element("tr", {},
    element("th", { scope: "row" }, drillLink("partition", partition)));
  keep($("drift"), byPartition, ([partition]) => partition, make, (tr, [partition, of]) => {
    const bySignal = new Map(of.map((row) => [row.signal, row]));
    showCells(tr, partition, signals.map((signal) => bySignal.get(signal) ?? { partition, signal }));
  });
  $("drift-head").closest("table").hidden = rows.length === 0;
  $("drift-empty").hidden = rows.length > 0;
}

function showCells(tr, partition, rows) {
  while (tr.cells.length > 1 && tr.dataset.signals !== rows.map((row) => row.signal).join()) tr.lastChild.remove();
  tr.dataset.signals = rows.map((row) => row.signal).join();
  if (tr.cells.length === 1) {
    tr.append(...rows.map(meter), element("td", { className: "number" }, number(`drift.${partition}.alarms`, "count")));
  }
  rows.forEach((row, i) => showMeter(tr.cells[i + 1], row));
  setNumber(tr.lastChild.firstChild, rows.reduce((sum, row) => sum + (row.alarms ?? 0), 0));
}

function meter({ partition, signal }) {
  const track = element("div", { className: "track", role: "meter" }, element("i"));
  track.ariaLabel = `Drift of ${signal} on partition ${partition}`;
  return element("td", {}, number(`drift.${partition}.${signal}.statistic`, "figure"), track);
}

function showMeter(cell, row) {
  const track = cell.lastChild;
  const share = row.threshold ? Math.min(1, Math.max(0, row.statistic / row.threshold)) : 0;
  setNumber(cell.firstChild, row.statistic);
  track.firstChild.style.setProperty("--share", share);
  track.ariaValueMin = 0;
  track.ariaValueMax = row.threshold ?? 1;
  track.ariaValueNow = row.statistic ?? 0;
  cell.className = share >= 1 ? "past" : share >= NEAR ? "near" : "";
  cell.title = row.threshold == null ? ""
    : `${text("figure", row.statistic)} of ${text("figure", row.threshold)}; mean ${text("figure", row.mean)}, reference ${text("figure", row.reference)}`;
}
