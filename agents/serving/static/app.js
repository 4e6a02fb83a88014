// The ops page: one frame a second from /events, laid over the history from /api/overview.

import { allowActions } from "./actions.js";
import { showAlerts } from "./alerts.js";
import { drawCharts } from "./charts.js";
import { showDeadLetters } from "./dead_letters.js";
import { byId as $, setNumber, setText } from "./dom.js";
import { showDrill } from "./drill.js";
import { showDrift } from "./drift.js";
import { showExperiment } from "./experiment.js";
import { clock, text } from "./format.js";
import { filterRows } from "./keyboard.js";
import { showLabels } from "./labels.js";
import { GATHERING, groupsOf, showLag } from "./lag.js";
import { showModels, showRollback } from "./models.js";
import { showGlance, showHealth } from "./overview.js";
import { showParity, showQuality } from "./quality.js";
import { showScores } from "./scores.js";
import { showShift } from "./shift.js";

const HISTORY = 15 * 60;
const STALE_MS = 4000;

let points = [];
let drawnAt = null; // the second of the newest point on the charts
let heardAt = null; // when the last frame came, by this machine's clock

function show(frame) {
  heardAt = Date.now();
  setText($("use-case"), frame.use_case);
  setText($("delivery"), frame.delivery.replace("_", " "));
  for (const node of document.querySelectorAll(".figures data, .ledger data")) {
    if (node.dataset.metric in frame.numbers) setNumber(node, frame.numbers[node.dataset.metric]);
  }
  const goals = Object.fromEntries(frame.tiles.map((tile) => [tile.name, tile.goal]));
  for (const name of ["latency_p50", "latency_p99"]) {
    const node = document.querySelector(`[data-metric=${name}_seconds]`);
    node.classList.toggle("over", Number(node.value) > goals[name]);
  }
  allowActions(frame.actions);
  showHealth(frame);
  showGlance(frame);
  showLag(frame.lag);
  showModels(frame.models, frame.task);
  showRollback();
  showExperiment(frame.experiment);
  $("reviews-link").hidden = !frame.reviews;
  showScores(frame);
  showShift(frame.shift);
  showLabels(frame.labels);
  showAlerts(frame.alerts);
  showDrift(frame.drift);
  showDeadLetters(frame.dead_letters);
  showQuality(frame.quality);
  showParity(frame.parity);
  if (points.length && points.at(-1).at !== drawnAt) {
    drawnAt = points.at(-1).at;
    drawCharts(points, groupsOf(frame.lag).filter((group) => !GATHERING.includes(group)), [
      { at: frame.prompt_seconds * 1000, words: `promise: ${text("ratio", goals.prompt_ratio)} within ${text("duration", frame.prompt_seconds)}`, colour: "faint" },
      { at: goals.latency_p99 * 1000, words: `goal of p99: ${text("duration", goals.latency_p99)}`, colour: "critical" },
    ]);
  }
  showDrill(frame);
  filterRows();
  setText($("clock"), `as of ${clock(frame.at / 1000)}`);
}

function add(point) {
  if (points.length && point.at <= points.at(-1).at) points.pop();
  points.push(point);
  if (points.length > HISTORY) points.shift();
}

async function begin() {
  const answer = await fetch("/api/overview");
  if (!answer.ok) return;
  points = (await answer.json()).history;
  drawnAt = null;
}

// Frames come once the server has read the past; after a break the history has a hole. What is now is shown
// before what was is asked for.
const events = new EventSource("/events");
const openedAt = Date.now();
let hasHole = true;
events.onopen = () => { hasHole = true; };
events.onmessage = (message) => {
  const frame = JSON.parse(message.data);
  add(frame.point);
  show(frame);
  if (!hasHole) return;
  hasHole = false;
  begin().catch(() => { hasHole = true; });
};

function showSilence(state, words) {
  document.body.dataset.state = state;
  setText($("health-text"), words);
  document.title = `Thalweg: ${words}`;
}

setInterval(() => {
  const silence = Date.now() - (heardAt ?? openedAt);
  if (silence < STALE_MS) return;
  if (heardAt === null) showSilence("waiting", "Waiting for Kafka");
  else showSilence("stale", `Stale: nothing heard for ${text("duration", Math.round(silence / 1000))}`);
}, 1000);
