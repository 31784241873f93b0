/* Elements, and what keeps them usable while the page redraws itself. */

const SVG_TAGS = new Set(["svg", "g", "path", "line", "rect", "circle", "text", "tspan", "polyline", "title"]);
const find = (selector) => document.querySelector(selector);

function make(tag, attributes = {}, ...children) {
  const node = SVG_TAGS.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  node.append(...children.flat().filter((child) => child !== undefined && child !== ""));
  return node;
}

/* Replaces the children of a container and restores the focus, by data-key. */
function fill(container, ...nodes) {
  const key = container.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const scrolled = container.scrollTop;
  container.replaceChildren(...nodes.flat().filter((node) => node !== undefined));
  container.scrollTop = scrolled;
  if (key) container.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

/* Says something to a screen reader, once the reader pauses. */
let said;
function say(words) {
  clearTimeout(said);
  said = setTimeout(() => (find("#live").textContent = words), 150);
}

const button = (words, action, attributes = {}) =>
  make("button", { type: "button", "data-key": words, ...attributes, onclick: action }, words);

const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
/* The room for a drawing: one unit of its viewBox is one pixel, on a phone too. */
function widthOf(selector) {
  const style = getComputedStyle(find(selector));
  return Math.max(280, find(selector).clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
}

const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
