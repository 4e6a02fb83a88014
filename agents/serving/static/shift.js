// Which scores and features moved, over all partitions, and how surely: one comparison a day.

import { byId as $, drillLink, element, keep, number, setNumber, setText } from "./dom.js";
import { text } from "./format.js";

const COLUMNS = [
  ["evidence", "figure"], ["index", "figure"], ["index_by_chance", "figure"], ["distance", "figure"], ["users", "count"],
];
const WORDS = { normal: "as before", warning: "moved", critical: "moved far" };

export const signalName = ({ signal, model }) => (model ? `${signal} of ${model}` : signal);

export function showShift({ signals, compared, moved, known, reference_days: days }) {
  const make = (row) => element("tr", {},
    element("th", { scope: "row" }, drillLink("signal", `${row.signal}/${row.model}`, signalName(row))),
    element("td", {}, element("span", { className: "badge" })),
    ...COLUMNS.map(([name, format]) => element("td", { className: "number" }, number(`shift.${row.signal}.${row.model}.${name}`, format))),
    element("td", { className: "number" }));
  keep($("shift"), signals, (row) => `${row.signal}/${row.model}`, make, (tr, row) => {
    tr.dataset.level = row.level;
    setText(tr.cells[1].firstChild, row.day === null ? `day ${row.reference_days} of ${days}` : WORDS[row.level]);
    COLUMNS.forEach(([name], i) => setNumber(tr.cells[i + 2].firstChild, row[name]));
    setText(tr.lastChild, row.day ?? "–");
  });
  $("shift-table").hidden = known === 0;
  const others = known - signals.length;
  setText($("shift-empty"), known === 0 ? "Nothing was counted yet: the first sketches come after ten seconds."
    : compared === 0 ? `The first ${days} days of events are the reference; then each day is held against it.`
    : `${moved || "None"} of ${text("count", compared)} signals ${moved === 1 ? "is" : "are"} not where ${moved === 1 ? "it was" : "they were"}${others > 0 ? `; ${text("count", others)} more are not shown` : ""}.`);
}
