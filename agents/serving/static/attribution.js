// Which features moved with an alert of drift: asked for when somebody opens it.

import { drillLink, element, setText } from "./dom.js";
import { text } from "./format.js";

export async function explain(alert, place) {
  if (place.dataset.state === "told" || place.dataset.state === "asked") return;
  place.dataset.state = "asked";
  setText(place, "Looking which features moved.");
  let told;
  try {
    const answer = await fetch(`/api/drift/explain/${encodeURIComponent(alert.alert_id)}`);
    told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
  } catch (error) {
    place.dataset.state = ""; // the next opening asks again
    setText(place, `Which features moved is not known: ${error.message}`);
    return;
  }
  place.dataset.state = told.is_over ? "told" : ""; // while the span fills, there is more to come
  place.replaceChildren(element("p", { className: "told", textContent: told.told }), ...(told.features.length ? [table(told)] : []));
}

function table({ features }) {
  const most = Math.max(...features.map((each) => each.index), 1e-9);
  const rows = features.map((each) => {
    const bar = element("i");
    bar.style.setProperty("--share", each.index / most);
    const cell = (value, format = "figure") => element("td", { className: "number", textContent: text(format, value) });
    return element("tr", {},
      element("th", { scope: "row" }, drillLink("signal", `${each.feature}/`, each.feature)),
      element("td", { className: "of-bar" }, element("div", { className: "track" }, bar)),
      cell(each.index), cell(each.index_by_chance), cell(each.distance), cell(each.mean_before), cell(each.mean_since));
  });
  const head = ["feature", "", "PSI", "by chance", "KS", "mean before", "since"];
  return element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Features that moved" },
    element("table", { className: "compact" },
      element("thead", {}, element("tr", {}, ...head.map((words, i) =>
        words ? element("th", { scope: "col", className: i > 1 ? "number" : "", textContent: words }) : element("td")))),
      element("tbody", {}, ...rows)));
}
