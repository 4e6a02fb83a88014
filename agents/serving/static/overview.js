// One glance: is it healthy, how fast, what changed.

import { byId as $, element, keep, number, setNumber, setText } from "./dom.js";
import { moment, text } from "./format.js";

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
}

const KINDS = { alert: "alert", deployment: "decision", trouble: "trouble", incident: "incident" };

export function showGlance({ since, changed, tiles, happened, at }) {
  const spell = since === null ? "" : `since ${moment(since, at)}`;
  const change = changed === null ? "Nothing was decided about models yet."
    : `Last change, ${moment(changed.at, at)}: ${changed.text}${changed.why ? ` (${changed.why})` : ""}.`;
  setText($("since"), spell);
  setText($("changed"), change);

  const make = (tile) => element("div", {},
    element("dt", { textContent: tile.label }),
    element("dd", {}, number(`tiles.${tile.name}`, tile.format)),
    element("dd", { className: "goal", textContent: `goal: ${tile.at_least ? "at least" : "at most"} ${text(tile.format, tile.goal)}` }));
  keep($("tiles"), tiles, (tile) => tile.name, make, (node, tile) => {
    setNumber(node.querySelector("data"), tile.value);
    node.className = tile.missed ? "missed" : "";
  });
  showHappened(happened, at);
}

// Marks stand where they happened; what lasts has a width. The list itself is what is read out.
function showHappened({ from, until, marks }, now) {
  const share = (ms) => Math.min(1, Math.max(0, (ms - from) / (until - from)));
  const make = (mark) => element("li", { tabIndex: 0, data: { kind: mark.kind, level: mark.level } },
    element("span", { className: "words" }));
  keep($("happened"), marks, (mark) => mark.id, make, (li, mark) => {
    const [begin, end] = [share(mark.at), share(mark.until ?? until)];
    li.style.setProperty("--begin", begin);
    li.style.setProperty("--length", end - begin);
    li.classList.toggle("late", begin > 0.5);
    setText(li.firstChild, `${moment(mark.at, now)}, ${KINDS[mark.kind]}: ${mark.text}`);
  });
  setText($("happened-from"), moment(from, now));
  setText($("happened-empty"), marks.length ? "" : "Nothing happened.");
}
