// One glance: is it healthy, how fast, what changed.

import { byId as $, element, keep, number, setNumber, setText } from "./dom.js";
import { day, moment, text, utc } from "./format.js";

export function showHealth(frame) {
  const all = frame.processes;
  const ready = all.filter((p) => p.state === "ready").length;
  let state = "well";
  let words = `All well: ${ready} of ${all.length} processes ready`;
  if (frame.heard_at === null) [state, words] = ["waiting", "Waiting for telemetry"];
  else if (all.every((p) => p.state === "down")) [state, words] = ["down", "No process speaks"];
  else if (frame.problems.length) {
    const n = frame.problems.length;
    [state, words] = ["troubled", n === 1 ? "One thing needs a look" : `${n} things need a look`];
  }
  document.body.dataset.state = state;
  setText($("health-text"), words);
  document.title = state === "well" ? "Thalweg" : `Thalweg: ${words}`;

  keep($("processes"), all, (p) => p.name, (p) => element("li", {}, p.name, element("span")), (li, p) => {
    li.dataset.state = p.state;
    li.title = `process ${p.pid}`;
    const restoring = p.state === "starting" && p.restored_ratio != null && p.restored_ratio < 1;
    setText(li.lastChild, restoring ? `restoring ${Math.floor(p.restored_ratio * 100)} %` : p.state);
  });
  // A problem keeps its item while its seconds count, so that it is read out once.
  keep($("problems"), frame.problems, (problem) => problem.id, () => element("li"), (li, problem) => {
    setText(li, problem.text);
  });
  keep($("silences"), frame.silences, (each) => `${each.since} ${each.until} ${each.why}`, () => element("li"), (li, each) => {
    const of = each.kinds.length ? `${each.kinds.join(" and ")} alerts` : "all alerts";
    const from = each.since > frame.at ? ` from ${moment(each.since, frame.at)}` : "";
    setText(li, `Silenced${from} until ${moment(each.until, frame.at)}: ${of}. ${each.why}${each.by ? ` (${each.by})` : ""}`);
  });
}

export function showGlance(frame) {
  const { since, changed, tiles, at } = frame;
  const spell = since === null ? "" : `since ${moment(since, at)}`;
  const change = changed === null ? "Nothing was decided about models yet."
    : `Last change, ${moment(changed.at, at)}: ${changed.text}${changed.why ? ` (${changed.why})` : ""}.`;
  setText($("since"), spell);
  setText($("changed"), change);

  const make = (tile) => element("div", {},
    element("dt", { textContent: tile.label }),
    element("dd", {}, number(`tiles.${tile.name}`, tile.format)),
    element("dd", { className: "goal", textContent: goal(tile) }),
    element("dd", { className: "note" }));
  keep($("tiles"), tiles, (tile) => tile.name, make, (node, tile) => {
    setNumber(node.querySelector("data"), tile.value);
    node.className = tile.missed ? (tile.is_budget ? "spends" : "missed") : "";
    setText(node.lastChild, tile.note);
    node.title = tile.is_budget ? "held to over 30 days: what is missed now is spent of what may be missed in a month" : "";
  });
  showHappened(frame);
}

const goal = (tile) =>
  `${tile.is_budget ? "promise" : "goal"} ${tile.at_least ? "≥" : "≤"} ${text(tile.format, tile.goal)}`;

// ---- the line ----

const KINDS = { alert: "alert", deployment: "decision", trouble: "trouble", incident: "incident" };
const MOST_TICKS = 6;

let chosen = null; // the clock somebody chose; else that of the events, while they are of the past

for (const button of $("clocks").querySelectorAll("button")) {
  button.addEventListener("click", () => {
    chosen = button.dataset.clock;
    showHappened(latest);
  });
}

let latest = null;

function showHappened(frame) {
  latest = frame;
  const inEventTime = frame.happened_in_event_time;
  const clock = inEventTime === null ? "wall" : chosen ?? (inEventTime.is_past ? "event" : "wall");
  const isEvent = clock === "event";
  $("clocks").hidden = inEventTime === null;
  for (const button of $("clocks").querySelectorAll("button")) {
    button.ariaPressed = String(button.dataset.clock === clock);
  }
  $("lanes").dataset.clock = clock;
  const line = isEvent ? inEventTime : frame.happened;
  const told = (ms) => (isEvent ? utc(ms) : moment(ms, frame.at));
  showMarks(line, told);
  showTicks(line, isEvent ? day : (ms) => moment(ms, frame.at));
  const until = isEvent ? `events of ${day(line.from)} to ${day(line.until)}` : "";
  setText($("happened-note"), line.marks.length ? until : "Nothing happened.");
}

// Marks stand where they happened; what lasts has a width. The list itself is what is read out.
function showMarks({ from, until, marks }, told) {
  const share = (ms) => Math.min(1, Math.max(0, (ms - from) / (until - from)));
  const make = (mark) => {
    const words = element("span", { className: "words" });
    const inner = mark.kind === "alert"
      ? element("a", { className: "mark", href: `#/alert/${encodeURIComponent(mark.alert)}` }, words)
      : element("span", { className: "mark", tabIndex: 0 }, words);
    const name = mark.kind === "incident" ? element("span", { className: "name", textContent: mark.text, ariaHidden: "true" }) : "";
    return element("li", { data: { kind: mark.kind, level: mark.level } }, inner, name);
  };
  keep($("happened"), marks, (mark) => mark.id, make, (li, mark) => {
    const [begin, end] = [share(mark.at), share(mark.until ?? until)];
    li.style.setProperty("--begin", begin);
    li.style.setProperty("--length", end - begin);
    li.classList.toggle("late", begin > 0.5);
    li.classList.toggle("last", begin > 0.85);
    setText(li.querySelector(".words"), `${told(mark.at)}, ${KINDS[mark.kind]}: ${mark.text}`);
  });
}

function showTicks({ from, until }, told) {
  const n = innerWidth < 720 ? 3 : MOST_TICKS;
  const ticks = Array.from({ length: n }, (_, i) => from + ((until - from) * i) / (n - 1));
  keep($("happened-ticks"), ticks, (_) => String(ticks.indexOf(_)), () => element("span"), (span, ms) => {
    setText(span, told(ms));
  });
}
