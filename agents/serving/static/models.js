// The models in service, beside the baselines that they must beat.

import { actionButton } from "./actions.js";
import { byId as $, drillLink, element, keep, number, setNumber, setText } from "./dom.js";

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

export function showModels(models, task) {
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
      model.part === "baseline" ? model.model.replace("baseline_", "").replace("_", " ") : drillLink("model", model.model),
      element("span", { className: "part" }), model.part === "baseline" ? "" : promotion(model.model)),
    ...columns.map(([name, format]) =>
      element("td", { className: "number" }, number(`models.${model.model}.${name}`, format))));
  keep($("models"), models, (model) => model.model, make, (tr, model) => {
    tr.dataset.part = model.part;
    const part = model.may_serve === false ? `${model.part}, too slow to serve` : model.part;
    setText(tr.querySelector(".part"), part);
    columns.forEach(([name], i) => setNumber(tr.cells[i + 1].firstChild, model[name]));
  });
}

const promotion = (model) => actionButton("Promote", () => ({
  title: `Promote ${model}`, action: "promote", body: { model },
}));

export function showRollback() {
  const button = actionButton("Roll back", () => ({ title: "Roll back to who served before", action: "rollback", body: {} }));
  if (button && !$("rollback").firstChild) $("rollback").append(button);
}
