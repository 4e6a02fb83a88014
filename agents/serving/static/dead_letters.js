// What could not be processed.

import { byId as $, element, keep, number, setNumber } from "./dom.js";

export function showDeadLetters(byReason) {
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
