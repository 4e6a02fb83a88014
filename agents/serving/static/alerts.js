// What was raised, with the evidence that a person needs to judge it.

import { byId as $, element, keep, number, setNumber } from "./dom.js";
import { utc } from "./format.js";

export function showAlerts(alerts) {
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
  return facts.join("  ·  ");
}
