// Elements without a framework: make them once, then change only what changed.

import { formats } from "./format.js";

export const byId = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(node.dataset, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

// Leads to one thing by itself (`drill.js`).
export const drillLink = (kind, name, words = name) =>
  element("a", { href: `#/${kind}/${encodeURIComponent(name)}`, textContent: words });

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A number that scripts find by `data-metric` and read from `value`. (Not an <output>: that is a
// live region, and would have a screen reader say every number every second.)
export function number(metric, format) {
  return element("data", { data: { metric, format } });
}

export function setNumber(node, value) {
  const raw = value == null ? "" : String(value);
  if (node.value === raw && node.hasAttribute("value")) return;
  node.value = raw;
  const [digits, unit] = formats[node.dataset.format](value);
  node.replaceChildren(digits);
  if (unit) node.append(element("span", { className: "unit", textContent: unit }));
}

// Keep one child per item, in order. `make(item)` returns a node; `update(node, item)` fills it.
export function keep(parent, items, key, make, update) {
  const nodes = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  items.forEach((item, index) => {
    const name = key(item);
    let node = nodes.get(name);
    if (node) nodes.delete(name);
    else {
      node = make(item);
      node.dataset.key = name;
    }
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
    update(node, item);
  });
  for (const node of nodes.values()) node.remove();
}
