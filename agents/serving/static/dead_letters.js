// What could not be processed.

import { actionButton } from "./actions.js";
import { byId as $, element, keep, number, setNumber, setText } from "./dom.js";
import { utc } from "./format.js";

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

// The records themselves, when somebody wants to see them: they are read from Kafka, not from telemetry.
const showRecords = $("records-show");
showRecords.addEventListener("click", () => readRecords());

async function readRecords() {
  setText($("records-said"), "Reading.");
  setText(showRecords, "Read again");
  let told;
  try {
    const answer = await fetch("/api/dead-letters");
    told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
  } catch (error) {
    setText($("records-said"), error.message);
    return;
  }
  const letters = told.dead_letters;
  setText($("records-said"), letters.length ? `The newest ${letters.length} that are open:` : "None is open.");
  keep($("records"), letters, (letter) => `${letter.offset} ${letter.at}`, record, () => {});
}

function record(letter) {
  const settle = (action, words) => actionButton(words, () => ({
    title: `${words} dead letter ${letter.offset}`, action, body: { offsets: [letter.offset] },
    needsWhy: false, then: () => item.remove(), // what is read at once may not know of it yet
  }));
  const rows = [["detail", letter.detail], ["from", letter.origin], ["retries", String(letter.retries)], ["key", letter.key ?? "none"]];
  const item = element("li");
  item.append(element("details", {},
    element("summary", {}, `${letter.offset} `, element("strong", { textContent: letter.reason.replaceAll("_", " ") }), ` ${utc(letter.at)}`),
    element("dl", { className: "record" },
      ...rows.flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })])),
    element("pre", { tabIndex: 0, ariaLabel: "The record", textContent: letter.value ?? "no value" }),
    element("p", { className: "buttons" }, settle("retry", "Retry"), settle("drop", "Drop"))));
  return item;
}
