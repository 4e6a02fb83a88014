// One thing by itself: `#/model/NAME`, `#/feature/NAME`, `#/partition/N`, `#/signal/NAME/MODEL`, `#/alert/ID`.

import { openAlert } from "./alerts.js";
import { DriftChart } from "./charts.js";
import { byId as $, element, keep, setText } from "./dom.js";
import { moment, text } from "./format.js";

const ABOUT = /^#\/(model|feature|partition|signal|alert)\/(.+)$/;
const SIGNAL_COLOURS = ["water", "amber", "violet", "moss", "faint"];
const EVERY_MS = 5000; // the past is asked for again

let frame = null;
let asked = null; // { address, at }: whose past is shown, and when it was asked for
let told = null; // the partition's past, by span
let span = "15 min";
const chart = new DriftChart("drill");

function about() {
  const [, kind, name] = ABOUT.exec(location.hash) ?? [];
  try {
    return kind ? [kind, decodeURIComponent(name)] : [null, null];
  } catch {
    return [null, null]; // not an address of this page
  }
}

const FACTS = { model: aboutModel, feature: aboutFeature, partition: aboutPartition, signal: aboutSignal };

export function showDrill(latest) {
  frame = latest;
  const [kind, name] = about();
  const isShown = kind in FACTS && frame !== null;
  $("drill").hidden = !isShown;
  if (!isShown) {
    asked = null;
    return;
  }
  setText($("drill-title"), kind === "signal" ? titleOfSignal(name) : `${kind} ${name}`);
  const known = FACTS[kind](name);
  keep($("drill-facts"), known, ([fact]) => `${kind} ${name} ${fact}`,
    ([fact]) => element("div", {}, element("dt", { textContent: fact }), element("dd")),
    (node, [, value]) => setText(node.lastChild, value));
  setText($("drill-empty"), known.length ? "" : "Nothing is known of it.");
  const hasPast = kind === "partition" || kind === "signal";
  for (const id of ["drill-chart", "drill-legend"]) $(id).hidden = !hasPast;
  $("drill-spans").hidden = kind !== "partition";
  if (!hasPast) asked = null;
  else if (asked?.address !== location.hash || Date.now() - asked.at >= EVERY_MS) readPast(kind, name);
}

const figure = (value) =>
  typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(4))) : String(value);
const facts = (row, but = []) => Object.entries(row ?? {})
  .filter(([name, value]) => value != null && !but.includes(name))
  .map(([name, value]) => [name.replaceAll("_", " "), figure(value)]);

function aboutModel(name) {
  const decided = frame.happened.marks.filter((mark) => mark.kind === "deployment" && mark.text.includes(name)).slice(-5);
  return [...facts(frame.models.find((row) => row.model === name)),
    ...decided.map((mark) => [moment(mark.at, frame.at), mark.text])];
}

function aboutFeature(name) {
  const field = frame.quality.fields.find((row) => row.field === name);
  const mismatches = frame.parity.mismatches[name];
  return [...facts(field, ["findings"]), ...facts(field?.findings),
    ...(mismatches === undefined ? [] : [["served otherwise", `${mismatches} of ${frame.parity.compared}`]])];
}

function aboutPartition(name) {
  return frame.drift.filter((row) => row.partition === name).map((row) => {
    const parts = [`${text("figure", row.statistic)} of ${text("figure", row.threshold)}`];
    if (row.mean != null) parts.push(`mean ${text("figure", row.mean)}, was ${text("figure", row.reference)}`);
    if (row.alarms) parts.push(`${text("count", row.alarms)} alarms`);
    return [row.signal.replaceAll("_", " "), parts.join("; ")];
  });
}

const partsOf = (name) => name.split(/\/(.*)/s); // NAME/MODEL; of a feature there is no model
const titleOfSignal = (name) => {
  const [signal, model] = partsOf(name);
  return model ? `${signal} of ${model}, day by day` : `${signal}, day by day`;
};

function aboutSignal(name) {
  const [signal, model = ""] = partsOf(name);
  return facts(frame.shift.signals.find((row) => row.signal === signal && row.model === model), ["signal", "model"]);
}

async function readPast(kind, name) {
  const address = location.hash;
  if (asked?.address !== address) told = null;
  asked = { address, at: Date.now() };
  const [signal, model = ""] = partsOf(name);
  const url = kind === "partition" ? `/api/drift/${encodeURIComponent(name)}`
    : `/api/shift/${encodeURIComponent(signal)}?model=${encodeURIComponent(model)}`;
  const answer = await fetch(url).catch(() => null);
  if (!answer?.ok || asked?.address !== address) return;
  told = await answer.json();
  if (kind === "partition") drawSpan();
  else drawDays();
}

// The evidence of each signal of a partition, over the span that is chosen.
function drawSpan() {
  const make = (name) => {
    const button = element("button", { type: "button", textContent: name });
    button.addEventListener("click", () => {
      span = name;
      drawSpan();
    });
    return button;
  };
  keep($("drill-spans"), Object.keys(told.spans), (name) => name, make, (button, name) => {
    button.ariaPressed = String(name === span);
  });
  const signals = told.spans[span];
  const names = Object.keys(signals);
  const times = [...new Set(names.flatMap((name) => signals[name].map(([at]) => at)))].sort((a, b) => a - b);
  const column = (name, index) => {
    const known = new Map(signals[name].map((point) => [point[0], point[index]]));
    return times.map((at) => known.get(at) ?? null);
  };
  draw(times, names.map((name) => [name.replaceAll("_", " "), column(name, 1)]),
    names.length ? column(names[0], 2) : []);
}

// Of a signal's days, in event time.
function drawDays() {
  const { days, threshold } = told;
  draw(days.map((each) => each.at), [["evidence", days.map((each) => each.evidence)]], days.map(() => threshold), true);
}

function draw(times, columns, threshold, points = false) {
  const lines = columns.map(([label], i) => ({ label, colour: SIGNAL_COLOURS[Math.min(i, 4)], format: "figure", points }));
  lines.push({ label: "threshold", colour: "critical", format: "figure", width: 1, dash: [5, 4] });
  chart.show([times, ...columns.map(([, column]) => column), threshold], lines);
  keep($("drill-legend"), lines, (line) => line.label, (line) => element("span", {}, element("i", { className: `key line-${line.colour}` }), line.label), () => {});
}

function follow() {
  const [kind, name] = about();
  if (kind === "alert" && openAlert(name)) return;
  showDrill(frame);
  if (!$("drill").hidden) $("drill-title").focus();
}

addEventListener("hashchange", follow);
$("drill-leave").addEventListener("click", () => { location.hash = ""; });
