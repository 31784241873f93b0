/* Hands on: the changes so far, the forget gates, all weights of the chosen unit, and how far its gradient reaches. */

let reaching;

function drawHands() {
  const list = [...edits].map(([key, { label }]) =>
    make(
      "li",
      {},
      button(`${label} ×`, () => undo(key), { "data-key": key, "aria-label": `Undo: ${label}` }),
    ),
  );
  fill(find("#edits"), list.length ? list : make("li", { class: "soft" }, "Nothing is changed yet."));
  find("#undo-all").disabled = edits.size === 0;
  const [open, shut] = [find("#hold-open"), find("#forget-all")],
    prefix = `${layerIndex()}/${view.sequence}/forget/`;
  open.textContent = edits.get(`${prefix}on/1`)?.label ?? `Hold the forget gate open from ${stepName(view.step)} on`;
  shut.textContent = edits.get(`${prefix}${view.step}/0`)?.label ?? `Forget everything at ${stepName(view.step)}`;
  open.setAttribute("aria-pressed", edits.has(`${prefix}on/1`));
  shut.setAttribute("aria-pressed", edits.has(`${prefix}${view.step}/0`));
  drawWeights();
  clearTimeout(reaching); // backward through 200 steps of 64 units would make dragging slow
  reaching = setTimeout(drawReach, 60);
  if (find("#far details").open) drawTable();
}

/* The gradient of the chosen unit's last c with respect to c at every earlier step, by backpropagation. */
function reach() {
  const { H, R, T, cell } = page.model,
    d_c = new Float64Array(H);
  d_c[view.unit] = 1;
  const { d_cs } = layerBackward(page.run[layerIndex()], new Float64Array(R), d_c, weights(), cell, isReverse());
  const d = d_cs.map((values) => values[view.unit]);
  return { d, first: d[isReverse() ? T - 1 : 0] };
}

function drawReach() {
  const { T } = page.model,
    { first } = reach();
  fill(
    find("#reach"),
    `Backpropagation through these ${T} steps: a change of the first c of ${unitName(view.unit)} by 1 changes its last c by `,
    make("b", { id: "reach-first" }, format(first)),
    ". That is the gradient that reaches step 1; a plain RNN’s is in the next section.",
  );
}

let drawnWeights;

function drawWeights() {
  const own = [...edits]
    .filter(([key]) => key === "learned" || key.includes("//"))
    .map(([key, { label }]) => [key, label]);
  const now = JSON.stringify([layerIndex(), view.unit, asked, own]);
  if (now === drawnWeights) return; // hundreds of numbers, unchanged while x, h or c is dragged
  drawnWeights = now;
  const { H, R } = page.model,
    w = weights(),
    k = view.unit,
    rows = [];
  const cells = (name, n, j) =>
    GATES.map((_, gate) => make("td", {}, number({ name, k: (gate * H + k) * n + j }, "table/")));
  const add = (words, tds) => rows.push(make("tr", {}, make("th", { scope: "row" }, words), tds));
  for (let j = 0; j < inputSize(); j++)
    add(["× x", inputSize() > 1 ? `[${j + 1}]` : "", ` ${featureName(j) ?? ""}`].join(""), cells("weight_ih", inputSize(), j));
  for (let j = 0; j < R; j++) add(R > 1 ? `× h[${j + 1}]` : "× h", cells("weight_hh", R, j));
  if (w.bias_ih) add("+ bias_ih", cells("bias_ih", 1, 0));
  if (w.bias_hh) add("+ bias_hh", cells("bias_hh", 1, 0));
  if (w.weight_peephole) {
    const peephole = (p) => make("td", {}, p < 0 ? "" : number({ name: "weight_peephole", k: p * H + k }, "table/"));
    add("× c (peephole)", [0, 1, -1, 2].map(peephole));
  }
  const heads = GATES.map((gate) =>
    make("th", { scope: "col", "aria-label": NAMES[gate], title: NAMES[gate] }, make("i", {}, gate)),
  );
  fill(
    find("#weights"),
    make(
      "table",
      {},
      make("caption", {}, `Weights of ${unitName(k)}, for x and for h of the step before. Drag them sideways.`),
      make("thead", {}, make("tr", {}, make("td", {}), heads)),
      make("tbody", {}, rows),
    ),
  );
}

/* The numbers of the maps as a table, for readers of tables, screen readers and paper. */
function drawTable() {
  const { T, R } = page.model,
    k = view.unit,
    names = ["f", "i", "g", "o", "c", "h"].filter((name) => name !== "h" || k < R);
  const rows = Array.from({ length: T }, (_, t) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, String(t + 1)),
      make("td", {}, format(stepAt(t).x[Math.min(view.feature, inputSize() - 1)])),
      names.map((name) => make("td", {}, format(stepAt(t)[name][k]))),
    ),
  );
  fill(
    find("#table"),
    make(
      "table",
      {},
      make("caption", {}, `${page.names[view.sequence]}, ${unitName(k)}, at every step`),
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          ["step", "x", ...names].map((name) => make("th", { scope: "col" }, name)),
        ),
      ),
      make("tbody", {}, rows),
    ),
  );
}
