// How far the declared rollout has got, and what it has shown.

import { byId as $, element, keep, number, setNumber, setText } from "./dom.js";
import { text } from "./format.js";

const FIGURES = [
  ["exposure", "share", "exposure", (e) => e.exposure],
  ["next", "share", "next step", (e) => e.next],
  ["control", "count", "users, control", (e) => e.users.control],
  ["candidate", "count", "users, candidate", (e) => e.users.candidate],
  ["labels", "count", "labels since the last step", (e) => e.labels],
];

export function showExperiment(experiment) {
  $("experiment-panel").hidden = experiment === null;
  if (experiment === null) return;
  setText($("experiment-what"), `${experiment.name}: ${experiment.candidate}, ${experiment.stage}`);
  const make = ([name, format, label]) => element("div", {},
    element("dt", { textContent: label }), element("dd", {}, number(`experiment.${name}`, format)));
  keep($("experiment"), FIGURES, ([name]) => name, make, (node, [, , , read]) => {
    setNumber(node.querySelector("data"), read(experiment));
  });
  const { loss_low: low, loss_high: high } = experiment;
  setText($("experiment-loss"), low == null || high == null ? "Too few labels to tell who is better."
    : `The candidate's log loss is ${text("figure", low)} to ${text("figure", high)} above the champion's${high < 0 ? ": better" : low > 0 ? ": worse" : ": too close to tell"}.`);
}
