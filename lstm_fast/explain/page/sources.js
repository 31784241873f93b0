/* The panel that shows how a number is computed, down to a single multiplication. */

let asked = null;
const trail = [];

function ask(a) {
  const next = { ...resolve(a) };
  if (asked && JSON.stringify(asked) !== JSON.stringify(next)) trail.push(asked);
  if (trail.length > 30) trail.shift();
  asked = next;
  draw();
  say(`${wordsOf(asked)} = ${format(valueOf(asked))}. ${spoken(explain(asked))}`);
}

const spoken = ({ line, sum, note }) =>
  [
    line && line.map((part) => (typeof part === "string" ? part : format(valueOf(part)))).join(" "),
    sum && `Sum of ${sum.length} products.`,
    note,
  ]
    .filter(Boolean)
    .join(". ");

/* The parts of a formula: text as it is, addresses by `show`. */
const formula = (parts, show) => parts.flatMap((part) => [typeof part === "string" ? part : show(part), " "]);

function productOf({ weight, value }) {
  return valueOf(weight) * (value ? valueOf(value) : 1);
}

/* The order of the rows, kept while one of them is dragged. */
const sorted = {};

function sumTable(sum) {
  const rows = sum.map((term) => ({ ...term, product: productOf(term) }));
  if (rows.length > 12) {
    const key = JSON.stringify(asked),
      isDragging = document.body.classList.contains("dragging-x");
    if (!isDragging || sorted.key !== key) {
      const order = [...rows.keys()].sort((p, q) => Math.abs(rows[q].product) - Math.abs(rows[p].product));
      Object.assign(sorted, { key, order });
    }
    rows.splice(0, rows.length, ...sorted.order.map((k) => rows[k]));
  }
  const largest = Math.max(...rows.map((r) => Math.abs(r.product)), 1e-12);
  const body = rows.map(({ weight, value, product: v }) => {
    const width = `${(Math.abs(v) / largest) * 50}%`;
    const bar = make("span", {
      class: v < 0 ? "term minus" : "term",
      style: `width:${width};${v < 0 ? "right" : "left"}:50%`,
    });
    return make(
      "tr",
      {},
      make("td", { class: "symbol" }, symbol(weight)),
      make("td", {}, number(weight, "sum/")),
      make("td", { class: "sign" }, value ? "×" : ""),
      make("td", { class: "symbol" }, value ? symbol(resolve(value)) : ""),
      make("td", {}, value ? number(value, "sum/") : ""),
      make("td", { class: "product" }, format(v)),
      make("td", { class: "bars", "aria-hidden": "true" }, bar),
    );
  });
  const heads = ["weight", "", "", "value", "", "product", ""].map((words) =>
    words ? make("th", { scope: "col" }, words) : make("td"),
  );
  return make(
    "div",
    { class: "scroll" },
    make("table", { class: "sum" }, make("thead", {}, make("tr", {}, heads)), make("tbody", {}, body)),
  );
}

/* The formulas of the numbers in a formula. */
function deeper(line) {
  const items = line
    .filter((part) => typeof part !== "string")
    .map((part) => {
      const { line: inner, sum } = explain(part);
      if (!inner && !sum) return undefined;
      const how = inner ? formula(inner, (other) => number(other, "deeper/")) : [`a sum of ${sum.length} products`];
      return make("li", {}, symbol(resolve(part)), " = ", how);
    });
  return make("ul", { class: "deeper" }, items);
}

function drawSources() {
  asked ??= { name: "c", t: view.step, k: view.unit };
  const { line, sum, note, go } = explain(asked),
    a = asked;
  const back = button(
    "← back",
    () => {
      asked = trail.pop();
      draw();
    },
    { disabled: trail.length === 0 },
  );
  const parts = [
    make("div", { class: "panel-head" }, make("h3", {}, symbol(a), " = ", number(a, "asked/")), back),
    make("p", { class: "soft" }, wordsOf(a)),
  ];
  if (line) {
    parts.push(
      make(
        "p",
        { class: "formula" },
        symbol(a),
        " = ",
        formula(line, (part) => symbol(resolve(part))),
      ),
    );
    parts.push(
      make(
        "p",
        { class: "formula numbers" },
        make("span", { class: "pad" }, "= "),
        formula(line, (part) => number(part, "line/")),
      ),
    );
  }
  if (line) parts.push(deeper(line));
  if (sum) {
    parts.push(
      make(
        "p",
        { class: "soft" },
        `The sum of these ${sum.length} ${sum.length > 12 ? "products, largest first" : "products"}:`,
      ),
      sumTable(sum),
    );
    parts.push(
      make("p", { class: "formula total" }, `Sum = ${format(sum.reduce((total, term) => total + productOf(term), 0))}`),
    );
  }
  if (note) parts.push(make("p", { class: "note" }, note));
  if (go) parts.push(button("Go to that layer", () => choose(go)));
  if (a.t !== undefined && "ifgoch".includes(a.name) && (a.t !== view.step || a.k !== view.unit) && a.k < page.model.H)
    parts.push(
      button(`Draw ${stepName(a.t)}${page.model.H > 1 ? `, ${unitName(a.k)}` : ""}`, () =>
        choose({ step: a.t, unit: a.k }),
      ),
    );
  if (isEditable(a) && isChanged(a)) parts.push(button("Undo this change", () => undo(editKey(a))));
  fill(find("#sources"), parts);
}
