// The ops page: one frame a second from /events, laid over the history from /api/overview.

import { drawCharts } from "./charts.js";
import { element, keep, number, setNumber, setText } from "./dom.js";
import { clock, text, utc } from "./format.js";

const HISTORY = 15 * 60;
const STALE_MS = 4000;

const $ = (id) => document.getElementById(id);
let points = [];
let heardAt = null; // when the last frame came, by this machine's clock

function show(frame) {
  heardAt = Date.now();
  setText($("use-case"), frame.use_case);
  setText($("delivery"), frame.delivery.replace("_", " "));
  for (const node of document.querySelectorAll(".figures data, .ledger data")) {
    setNumber(node, frame.numbers[node.dataset.metric]);
  }
  for (const node of document.querySelectorAll("[data-metric^=latency_]")) {
    node.classList.toggle("over", Number(node.value) > frame.latency_budget_seconds);
  }
  showHealth(frame);
  showLag(frame.lag);
  showModels(frame.models, frame.task);
  showScores(frame.scores);
  showAlerts(frame.alerts);
  showDrift(frame.drift);
  showDeadLetters(frame.dead_letters);
  showQuality(frame.quality);
  showParity(frame.parity);
  drawCharts(points, groupsOf(frame.lag).filter((group) => !GATHERING.includes(group)), frame.latency_budget_seconds);
  setText($("clock"), `as of ${clock(frame.at / 1000)}`);
}

function showHealth(frame) {
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

const GATHERING = ["archive"]; // lets records wait on purpose
const groupsOf = (lag) => [...new Set(lag.map((row) => row.group))];

function showLag(lag) {
  const groups = groupsOf(lag);
  const make = (row) => {
    const name = `lag.${row.group}.${row.topic}`;
    const key = element("i", { className: `key group-${Math.min(groups.indexOf(row.group), 4)}` });
    return element("tr", {},
      element("th", { scope: "row" }, key, row.group),
      element("td", { textContent: row.topic }),
      element("td", { className: "number" }, number(`${name}.records`, "count")),
      element("td", { className: "number" }, number(`${name}.seconds`, "duration")));
  };
  keep($("lag"), lag, (row) => `${row.group} ${row.topic}`, make, (tr, row) => {
    setNumber(tr.cells[2].firstChild, row.records);
    setNumber(tr.cells[3].firstChild, row.seconds);
  });
}

const AUC = [
  ["roc_auc", "score", "AUC", "ROC AUC since its first outcome"],
  ["window_roc_auc", "score", "recent", "ROC AUC over the last outcomes"],
  ["estimated_roc_auc", "score", "to come",
    "What the ROC AUC of the latest predictions will be, if scores are worth what they were"],
  ["log_loss", "score", "log loss", ""],
];
// What models are judged by: four figures of each task, with title and explanation.
const FIGURES = {
  binary: AUC,
  anomaly: AUC,
  multiclass: [
    ["accuracy", "score", "accuracy", "Share of right classes since its first outcome"],
    ["recent_accuracy", "score", "recent", "The same over the last outcomes"],
    ["macro_f1", "score", "macro F1", "Mean of the F1 of each class"],
    ["log_loss", "score", "log loss", ""],
  ],
  bandit: [
    ["reward", "figure", "reward", "Mean reward of its choices, by inverse propensities"],
    ["recent_reward", "figure", "recent", "The same over the last outcomes"],
    ["over_chance", "figure", "over chance", "How much more than choosing by chance"],
    ["over_best_arm", "figure", "over best arm", "How much more than the best arm for everybody"],
  ],
  regression: [
    ["mae", "figure", "MAE", "Mean absolute error since its first outcome"],
    ["recent_mae", "figure", "recent", "The same over the last outcomes"],
    ["rmse", "figure", "RMSE", "Root of the mean squared error"],
    ["r2", "score", "R2", "Share of the labels' variance that is explained"],
  ],
};

function showModels(models, task) {
  const figures = FIGURES[task];
  document.querySelectorAll("th.figure").forEach((th, i) => {
    setText(th, figures[i][2]);
    th.title = figures[i][3];
  });
  const columns = [
    ["version", "version"], ["outcomes", "count"], ...figures,
    ["asking_p99_seconds", "duration"],
    ["age_seconds", "duration"], ["freshness_p99_seconds", "duration"],
  ];
  const make = (model) => element("tr", { data: { part: model.part } },
    element("th", { scope: "row" },
      model.part === "baseline" ? model.model.replace("baseline_", "").replace("_", " ") : model.model,
      element("span", { className: "part", textContent: model.part })),
    ...columns.map(([name, format]) =>
      element("td", { className: "number" }, number(`models.${model.model}.${name}`, format))));
  keep($("models"), models, (model) => model.model, make, (tr, model) => {
    const part = model.may_serve === false ? `${model.part}, too slow to serve` : model.part;
    setText(tr.querySelector(".part"), part);
    columns.forEach(([name], i) => setNumber(tr.cells[i + 1].firstChild, model[name]));
  });
}

function showScores(counts) {
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

function showAlerts(alerts) {
  const make = (alert) => element("li", { data: { level: alert.level } },
    element("span", { className: "level", textContent: alert.level }),
    element("span", { className: "what" },
      element("strong", { textContent: alert.kind }), ` ${alert.signal.replaceAll("_", " ")} `,
      number(`alerts.${alert.alert_id}.value`, "figure"), ...against(alert),
      alert.incident ? element("span", { className: "incident", textContent: alert.incident }) : ""),
    element("time", { dateTime: new Date(alert.happened_at).toISOString(), textContent: utc(alert.happened_at) }),
    element("span", { className: "evidence", textContent: evidence(alert) }));
  keep($("alerts"), alerts, (alert) => alert.alert_id, make, (li, alert) => {
    const [value, other] = li.querySelectorAll("data");
    setNumber(value, alert.evidence.recent ?? alert.value);
    setNumber(other, alert.evidence.reference ?? alert.threshold);
  });
  $("alerts-empty").hidden = alerts.length > 0;
}

// Of a drift alarm people want to know what the scores are and were; the statistic is evidence.
function against(alert) {
  const [words, name] = "reference" in alert.evidence ? [", was ", "reference"] : [" against ", "threshold"];
  return [words, number(`alerts.${alert.alert_id}.${name}`, "figure")];
}

function evidence(alert) {
  const short = (value) =>
    typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
  const shown = ["event_at", "event_time", "onset_at", "recent", "reference"]; // above, as the time and the figures
  const facts = Object.entries(alert.evidence)
    .filter(([name]) => !shown.includes(name))
    .map(([name, value]) => `${name.replaceAll("_", " ")} ${typeof value === "object" ? JSON.stringify(value) : short(value)}`);
  if ("reference" in alert.evidence) facts.push(`statistic ${short(alert.value)} above ${short(alert.threshold)}`);
  if (alert.action !== "none") facts.push(`action: ${alert.action}`);
  if (alert.runbook) facts.push(`what to do: ${alert.runbook}`);
  return facts.join("  ·  ");
}

function showDrift(rows) {
  const make = (row) => {
    const name = `drift.${row.partition}.${row.signal}`;
    const track = element("div", { className: "track", role: "meter" }, element("i"));
    track.ariaLabel = `Drift of ${row.signal} on partition ${row.partition}`;
    return element("li", {},
      element("span", { textContent: `partition ${row.partition}, ${row.signal.replaceAll("_", " ")}` }),
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

const qualityScore = number("quality.score", "score");
$("quality-score").append(qualityScore);

function showQuality({ score, fields }) {
  setNumber(qualityScore, score);
  const make = ({ field }) => element("tr", {},
    element("th", { scope: "row", textContent: field === "*" ? "whole records" : field }),
    element("td", { className: "number" }, number(`quality.${field}.null`, "share")),
    element("td", { className: "findings" }));
  keep($("quality"), fields, (row) => row.field, make, (tr, row) => {
    setNumber(tr.cells[1].firstChild, row.null_ratio);
    const found = ([finding]) => element("span", {},
      `${finding.replaceAll("_", " ")} `, number(`quality.${row.field}.${finding}`, "share"));
    keep(tr.cells[2], Object.entries(row.findings), ([finding]) => finding, found, (span, [, ratio]) => {
      setNumber(span.lastChild, ratio);
    });
  });
}

const parityCounts = ["compared", "missing", "extra"].map((name) => [name, number(`parity.${name}`, "count")]);
for (const [name, figure] of parityCounts) $(`parity-${name}`).append(figure);

function showParity({ mismatches, ...counts }) {
  for (const [name, figure] of parityCounts) setNumber(figure, counts[name]);
  const rows = Object.entries(mismatches);
  const make = ([feature]) => element("tr", {},
    element("th", { scope: "row", textContent: feature }),
    element("td", { className: "number" }, number(`parity.${feature}.mismatches`, "count")),
    element("td", { className: "number" }, number(`parity.${feature}.share`, "share")));
  keep($("parity"), rows, ([feature]) => feature, make, (tr, [, n]) => {
    setNumber(tr.cells[1].firstChild, n);
    setNumber(tr.cells[2].firstChild, n / counts.compared);
  });
  $("parity-table").hidden = rows.length === 0;
  $("parity-empty").hidden = rows.length > 0;
  setText($("parity-empty"), counts.compared ? "Every feature was served as the log gives it." : "Nothing is compared yet.");
}

function showDeadLetters(byReason) {
  const rows = Object.entries(byReason);
  const most = Math.max(1, ...rows.map(([, n]) => n));
  const make = ([reason]) => element("li", {},
    element("span", { textContent: reason.replaceAll("_", " ") }),
    element("span", { className: "figure" }, number(`dead_letters.${reason}`, "count")),
    element("div", { className: "track" }, element("i")));
  keep($("dead-letters"), rows, ([reason]) => reason, make, (li, [, n]) => {
    setNumber(li.querySelector("data"), n);
    li.querySelector(".track i").style.setProperty("--share", n / most);
  });
  $("dead-letters-empty").hidden = rows.length > 0;
}

function add(point) {
  if (points.length && point.at <= points.at(-1).at) points.pop();
  points.push(point);
  if (points.length > HISTORY) points.shift();
}

async function begin() {
  const answer = await fetch("/api/overview");
  if (answer.ok) points = (await answer.json()).history;
}

// Frames come once the server has read the past; after a break the history has a hole.
const events = new EventSource("/events");
const openedAt = Date.now();
let hasHole = true;
events.onopen = () => { hasHole = true; };
events.onmessage = async (message) => {
  const frame = JSON.parse(message.data);
  if (hasHole) {
    await begin();
    hasHole = false;
  }
  add(frame.point);
  show(frame);
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
