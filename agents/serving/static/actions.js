// What an operator does from the page: asked once more, with name, reason and token. The token stays in
// this page's memory alone, and goes with its leaving.

import { byId as $, element, setText } from "./dom.js";

let isAllowed = false;
let asked = null; // { action, body, needsWhy, then }

export function allowActions(allowed) {
  isAllowed = allowed;
  document.body.dataset.actions = allowed ? "yes" : "no";
}

// A button that asks, or nothing where this server takes no actions.
export function actionButton(words, about) {
  if (!isAllowed) return "";
  const button = element("button", { type: "button", className: "act", textContent: words });
  button.addEventListener("click", () => ask(about()));
  return button;
}

// `title`: what is about to be done; `then`: called once it is.
function ask({ title, action, body, needsWhy = true, then = () => {} }) {
  asked = { title, action, body, needsWhy, then };
  setText($("act-title"), title);
  setText($("act-said"), "");
  $("act-why").value = "";
  $("act-why").required = needsWhy;
  $("act-why").parentNode.hidden = !needsWhy;
  $("act").showModal();
}

$("act-leave").addEventListener("click", () => $("act").close());
$("act-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { title, action, body, needsWhy, then } = asked;
  const said = { ...body, by: $("act-by").value.trim(), ...(needsWhy ? { why: $("act-why").value.trim() } : {}) };
  setText($("act-said"), "");
  $("act-go").disabled = true;
  try {
    const answer = await fetch(`/api/actions/${action}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${$("act-token").value}` },
      body: JSON.stringify(said),
    });
    const told = await answer.json();
    if (!answer.ok) {
      setText($("act-said"), told.error);
      return;
    }
    $("act").close();
    setText($("done"), `Done: ${title}`);
    then();
  } catch (error) {
    setText($("act-said"), `Nothing came back, so look before you try again: ${error.message}`);
  } finally {
    $("act-go").disabled = false;
  }
});
