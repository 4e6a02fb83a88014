// What was raised: in words first, with the evidence that a person needs to judge it behind.

import { explain } from "./attribution.js";
import { byId as $, element, keep, number, setNumber } from "./dom.js";
import { utc } from "./format.js";

export function showAlerts(alerts) {
  keep($("alerts"), alerts, (alert) => alert.alert_id, item, (li, alert) => {
    const [value, other] = li.querySelectorAll(".what data");
    setNumber(value, alert.evidence.recent ?? alert.value);
    setNumber(other, alert.evidence.reference ?? alert.threshold);
  });
  $("alerts-empty").hidden = alerts.length > 0;
}

// `#/alert/ID` leads here from the line of what happened.
export function openAlert(id) {
  const li = [...$("alerts").children].find((node) => node.dataset.key === id);
  if (!li) return false;
  const button = li.querySelector(".unfold");
  if (button.ariaExpanded !== "true") button.click();
  button.focus();
  li.scrollIntoView({ block: "nearest" });
  return true;
}

function item(alert) {
  const explained = element("div", { className: "explained" });
  const behind = element("div", { className: "behind", hidden: true },
    explained,
    element("dl", { className: "record" }, ...evidence(alert).flatMap(([name, value]) =>
      [element("dt", { textContent: name }), element("dd", { textContent: value })])));
  const unfold = element("button", { type: "button", className: "unfold", textContent: "evidence", ariaExpanded: "false" });
  unfold.addEventListener("click", () => {
    behind.hidden = !behind.hidden;
    unfold.ariaExpanded = String(!behind.hidden);
    if (alert.kind === "drift" && !behind.hidden) explain(alert, explained);
  });
  return element("li", { data: { level: alert.level } },
    element("span", { className: "level", textContent: alert.level }),
    element("span", { className: "what" },
      element("strong", { textContent: alert.kind }), ` ${alert.signal.replaceAll("_", " ")} `,
      number(`alerts.${alert.alert_id}.value`, "figure"), ...against(alert),
      alert.incident ? element("span", { className: "incident", textContent: alert.incident }) : ""),
    element("time", { dateTime: new Date(alert.happened_at).toISOString(), textContent: utc(alert.happened_at) }),
    element("span", { className: "plain" }, ...plain(alert), unfold),
    behind);
}

// Of a drift alarm people want to know what the scores are and were; the statistic is evidence.
function against(alert) {
  const [words, name] = "reference" in alert.evidence ? [", was ", "reference"] : [" against ", "threshold"];
  return [words, number(`alerts.${alert.alert_id}.${name}`, "figure")];
}

const MOVED = {
  world: ["the world moved", "the champion's frozen twin, which learns nothing, gives other scores, too"],
  model: ["the model moved", "away from its frozen twin, whose scores hold still"],
  both: ["the world and the model moved", "the frozen twin gives other scores, and the model others than its twin"],
  answers: ["the answers moved", "the same inputs are answered otherwise than the frozen twin expects"],
  unknown: ["model or world: unknown", "there was no frozen twin to tell them apart"],
};

// What there is to know before the evidence: whose doing it is, which part of the traffic, what was done.
function plain({ kind, signal, evidence: found, action }) {
  const parts = [];
  if (Object.hasOwn(MOVED, found.moved)) {
    const [words, ofScores] = MOVED[found.moved];
    const title = found.action === undefined ? ofScores : "users do what they hardly did; no model has a part in that";
    parts.push(element("span", { className: "chip", textContent: words, title, data: { moved: found.moved } }));
  }
  if (found.segment?.segment) {
    const { segment, moved } = found.segment;
    parts.push(element("span", { className: "chip", textContent: `most: ${String(segment).replace("=", " ")}`,
      title: moved === "share" ? "its share of the traffic is another" : "its scores are others" }));
  }
  if (found.class !== undefined) parts.push(element("span", { className: "chip", textContent: `class ${found.class}` }));
  if (found.action !== undefined) parts.push(element("span", { className: "chip", textContent: `action ${found.action}`,
    title: "comes more often than actions that are as rare did" }));
  if (kind === "shift") parts.push(element("a", { href: `#/signal/${encodeURIComponent(`${signal}/${found.model ?? ""}`)}`, textContent: "day by day" }));
  if (found.partition !== undefined) parts.push(element("a", { href: `#/partition/${found.partition}`, textContent: `partition ${found.partition}` }));
  if (found.onset_at) parts.push(`since ${utc(found.onset_at)}`);
  if (action !== "none") parts.push(`done: ${action}`);
  return parts.flatMap((part) => [part, " "]);
}

const short = (value) =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;

function written(name, value) {
  if (name === "segment" && value?.segment) return `${value.segment}: its ${value.moved}, ${short(value.z)} standard errors`;
  return typeof value === "object" ? JSON.stringify(value) : String(short(value));
}

function evidence(alert) {
  const facts = Object.entries(alert.evidence)
    .filter(([name]) => !["event_at", "onset_at"].includes(name)) // above, as times
    .map(([name, value]) => [name.replaceAll("_", " "), written(name, value)]);
  return [...facts, ["statistic", `${short(alert.value)} against ${short(alert.threshold)}`],
    ["raised", utc(alert.raised_at)], ["done", alert.action], ...(alert.runbook ? [["what to do", alert.runbook]] : [])];
}
