// One model, feature or partition by itself: `#/model/NAME`, `#/feature/NAME`, `#/partition/N`.

import { DriftChart } from "./charts.js";
import { byId as $, element, keep, setText } from "./dom.js";
import { moment } from "./format.js";

const ABOUT = /^#\/(model|feature|partition)\/(.+)$/;
const SIGNAL_COLOURS = ["water", "amber", "violet", "moss", "faint"];

let frame = null;
let asked = null; // the partition whose past is shown, so that it is asked for once in five frames
let beats = 0;
const chart = new DriftChart("drill");

export const drillLink = (kind, name, words = name) =>
  element("a", { href: `#/${kind}/${encodeURIComponent(name)}`, textContent: words });

function about() {
  const [, kind, name] = ABOUT.exec(location.hash) ?? [];
  try {
    return kind ? [kind, decodeURIComponent(name)] : [null, null];
  } catch {
    return [null, null]; // not an address of this page
  }
}

export function showDrill(latest) {
  frame = latest;
  const [kind, name] = about();
  $("drill").hidden = kind === null;
  if (kind === null || frame === null) {
    asked = null;
    return;
  }
  setText($("drill-title"), `${kind} ${name}`);
  const facts = { model: aboutModel, feature: aboutFeature, partition: aboutPartition }[kind](name);
  keep($("drill-facts"), facts, ([fact]) => `${kind} ${name} ${fact}`,
    ([fact]) => element("div", {}, element("dt", { textContent: fact }), element("dd")),
    (node, [, value]) => setText(node.lastChild, value));
  setText($("drill-empty"), facts.length ? "" : "Nothing is known of it.");
  $("drill-chart").hidden = kind !== "partition";
  if (kind !== "partition") asked = null;
  else if (asked !== name || ++beats % 5 === 0) readPast(name);
}

const figure = (value) =>
  typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(4))) : String(value);
const facts = (row, but = []) => Object.entries(row ?? {})
  .filter(([name, value]) => value != null && !but.includes(name))
  .map(([name, value]) => [name.replaceAll("_", " "), figure(value)]);

function aboutModel(name) {
  const told = frame.happened.marks.filter((mark) => mark.kind === "deployment" && mark.text.includes(name)).slice(-5);
  return [...facts(frame.models.find((row) => row.model === name)),
    ...told.map((mark) => [moment(mark.at, frame.at), mark.text])];
}

function aboutFeature(name) {
  const field = frame.quality.fields.find((row) => row.field === name);
  const mismatches = frame.parity.mismatches[name];
  return [...facts(field, ["findings"]), ...facts(field?.findings),
    ...(mismatches === undefined ? [] : [["served otherwise", `${mismatches} of ${frame.parity.compared}`]])];
}

function aboutPartition(name) {
  return frame.drift.filter((row) => row.partition === name)
    .flatMap((row) => facts(row, ["partition", "signal"])
      .map(([fact, value]) => [`${row.signal.replaceAll("_", " ")}, ${fact}`, value]));
}

async function readPast(partition) {
  asked = partition;
  const answer = await fetch(`/api/drift/${encodeURIComponent(partition)}`).catch(() => null);
  if (!answer?.ok || asked !== partition) return;
  const { signals } = await answer.json();
  const names = Object.keys(signals);
  const times = [...new Set(names.flatMap((name) => signals[name].map(([at]) => at)))].sort((a, b) => a - b);
  const column = (name, index) => {
    const known = new Map(signals[name].map((point) => [point[0], point[index]]));
    return times.map((at) => known.get(at) ?? null);
  };
  chart.show(
    [times, ...names.map((name) => column(name, 1)), ...(names.length ? [column(names[0], 2)] : [])],
    [...names.map((name, i) => ({ label: name.replaceAll("_", " "), colour: SIGNAL_COLOURS[Math.min(i, 4)], format: "figure" })),
      ...(names.length ? [{ label: "threshold", colour: "critical", format: "figure", width: 1, dash: [5, 4] }] : [])],
  );
}

addEventListener("hashchange", () => {
  showDrill(frame);
  if (!$("drill").hidden) $("drill-title").focus();
});
$("drill-leave").addEventListener("click", () => { location.hash = ""; });
