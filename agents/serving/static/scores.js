// The scores now, as bars, and those of the reference as a line over them.

import { byId as $, element, keep, setText } from "./dom.js";
import { day, text } from "./format.js";

// Scores that are no shares of 1 are counted by sketches alone: of them "now" is the newest day.
export function showScores({ scores, reference_scores: reference, task }) {
  const isOfDay = task === "regression" || task === "bandit";
  const counted = scores.reduce((sum, n) => sum + n, 0);
  const now = isOfDay ? reference?.now?.shares ?? [] : scores.map((n) => n / Math.max(1, counted));
  const total = isOfDay ? reference?.now?.n ?? 0 : counted;
  const was = reference?.shares ?? [];
  const [from, until] = [reference?.from ?? 0, reference?.until ?? 1];
  const most = Math.max(1e-9, ...now, ...was);
  showBars(now, total, from, until, most);
  setText($("scores-what"), isOfDay ? (reference?.now ? `of ${reference.now.day}` : "") : "last minute");
  setText($("scores-now"), `now (${text("count", total)})`);
  setText($("scores-was"), reference === null ? "no reference yet" : span(reference));
  drawReference(was, most);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => text("figure", from + share * (until - from)));
  keep($("scores-axis"), ticks.map((words, i) => ({ words, i })), ({ i }) => String(i),
    () => element("span"), (node, { words }) => setText(node, words));
  $("scores").ariaLabel = (total ? `Distribution of ${text("count", total)} scores` : "No scores in the last minute")
    + (reference === null ? "" : `, beside ${text("count", reference.n)} of the reference, ${span(reference)}`);
}

function showBars(now, total, from, until, most) {
  const end = (i) => from + (i / now.length) * (until - from);
  const bins = now.map((share, i) => ({ share, i }));
  keep($("scores"), bins, ({ i }) => String(i), () => element("i"), (bar, { share, i }) => {
    bar.style.setProperty("--share", share / most);
    bar.dataset.count = Math.round(share * total);
    bar.title = `${text("figure", end(i))} to ${text("figure", end(i + 1))}: ${text("count", Math.round(share * total))}`;
  });
}

function span({ first, last, days, of_days: all }) {
  const [from, until] = [first, last].map((date) => day(Date.parse(date)));
  const dates = first === last ? from : `${from} to ${until}`;
  return `reference: ${days < all ? `${days} of ${all} days, ` : ""}${dates} ${last.slice(0, 4)}`;
}

// A stair over as many steps as there are bars, one high.
function drawReference(shares, most) {
  const height = (share) => (1 - share / most).toFixed(4);
  const stairs = shares.map((share, i) => `${i ? "L" : "M"}${i},${height(share)}L${i + 1},${height(share)}`);
  $("scores-reference").firstElementChild.setAttribute("d", stairs.join(""));
  $("scores-reference").setAttribute("viewBox", `0 0 ${Math.max(1, shares.length)} 1`);
}
