// How far each group of consumers is behind.

import { byId as $, element, keep, number, setNumber } from "./dom.js";

export const GATHERING = ["archive"]; // lets records wait on purpose
export const groupsOf = (lag) => [...new Set(lag.map((row) => row.group))];

export function showLag(lag) {
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
