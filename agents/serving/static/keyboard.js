// The page without a mouse: a filter for all rows, letters that lead to panels, and who tells of them.

import { byId as $, element } from "./dom.js";

const PANELS = {
  o: ["changed", "one glance"], h: ["happened-title", "what happened"], t: ["throughput-title", "throughput"], m: ["models-title", "models"],
  s: ["scores-title", "scores"], y: ["shift-title", "signals, day by day"], b: ["labels-title", "labels"], a: ["alerts-title", "alerts"], d: ["drift-title", "drift"],
  l: ["dead-letters-title", "dead letters"], e: ["experiment-title", "experiment"],
  q: ["quality-title", "data quality"], p: ["parity-title", "parity"],
};
const ROWS = "#lag tr, #models tr, #quality tr, #parity tr, #drift tr, #shift tr, #alerts > li, #records > li";

let goes = false; // `g` was pressed, and a letter may follow

export function filterRows() {
  const words = $("filter").value.trim().toLowerCase();
  for (const row of document.querySelectorAll(ROWS)) {
    row.hidden = words !== "" && !row.textContent.toLowerCase().includes(words);
  }
}

$("filter").addEventListener("input", filterRows);
$("filter").addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  $("filter").value = "";
  filterRows();
  $("filter").blur();
});
$("help-keys").append(...[
  ["/", "filter rows"], ["Esc", "leave the filter, or what was opened"], ["?", "this list"],
  ...Object.entries(PANELS).map(([letter, [, words]]) => [`g ${letter}`, words]),
].flatMap(([keys, words]) => [element("dt", {}, element("kbd", { textContent: keys })), element("dd", { textContent: words })]));
$("help-close").addEventListener("click", () => $("help").close());
$("help-open").addEventListener("click", () => $("help").showModal());

function goTo(id) {
  const title = $(id);
  if (title.closest("[hidden]")) return;
  title.tabIndex = -1;
  title.focus();
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, textarea, select");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const panel = goes ? PANELS[event.key] : undefined;
  goes = false;
  if (panel) goTo(panel[0]);
  else if (event.key === "g") goes = true;
  else if (event.key === "/") $("filter").focus();
  else if (event.key === "?") $("help").showModal();
  else if (event.key === "Escape" && location.hash) location.hash = "";
  else return;
  event.preventDefault();
});
