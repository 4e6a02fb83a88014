// What is wrong with fields of events, and with features as they were served.

import { byId as $, drillLink, element, keep, number, setNumber, setText } from "./dom.js";

const qualityScore = number("quality.score", "score");
$("quality-score").append(qualityScore);

export function showQuality({ score, fields }) {
  setNumber(qualityScore, score);
  const make = ({ field }) => element("tr", {},
    element("th", { scope: "row" }, field === "*" ? "whole records" : drillLink("feature", field)),
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

export function showParity({ mismatches, ...counts }) {
  for (const [name, figure] of parityCounts) setNumber(figure, counts[name]);
  const rows = Object.entries(mismatches);
  const make = ([feature]) => element("tr", {},
    element("th", { scope: "row" }, drillLink("feature", feature)),
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
