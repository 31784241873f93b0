/* One unit at one step, in the layout of lstm_fast.plot.unit: long-term memory along the top, short-term along the
   bottom. Every number asks where it comes from; those of x, h and c can be dragged. Lengths are in ems. */

const EM = 18;
const DIAGRAM = { width: 47, height: 29, cLine: 5.6, hLine: 23.4, gates: 16.2, out: 38.7, left: 3.6, right: 43.6 };
const COLUMNS = { f: 10.9, i: 18.2, g: 25.5, o: 32.8 };

const px = (v) => (v * EM).toFixed(1);
const wire = (points, attributes = {}) =>
  make("polyline", { points: points.map(([x, y]) => `${px(x)},${px(y)}`).join(" "), class: "wire", ...attributes });
const arrow = (points, extra = "") => wire(points, { class: `wire ${extra}`, "marker-end": "url(#head)" });
const svgText = (x, y, text, attributes = {}) => make("text", { x: px(x), y: px(y), ...attributes }, text);

/* A number at a fixed position in the drawing. */
function svgNumber(x, y, a, prefix = "", extra = "", text = format(valueOf(a))) {
  const shown = prefix + text,
    half = (shown.length * (extra ? 0.285 : 0.265) + 0.3) * EM;
  const attributes = numberAttributes(a, { place: "diagram/", class: extra, shown }),
    middle = x * EM;
  return make(
    "g",
    attributes,
    make("title", {}, wordsOf(a)),
    make("rect", { x: middle - half, y: px(y - 1.05), width: 2 * half, height: px(1.5), rx: 4, class: "hit" }),
    svgText(x, y, shown, { class: "value" }),
    isEditable(a)
      ? make("line", {
          x1: middle - half + 6,
          x2: middle + half - 6,
          y1: px(y + 0.26),
          y2: px(y + 0.26),
          class: "under",
        })
      : undefined,
  );
}

function box(x, y, width, height, ...inside) {
  const frame = make("rect", {
    x: px(x - width / 2),
    y: px(y - height / 2),
    width: px(width),
    height: px(height),
    rx: 7,
    class: "box",
  });
  return make("g", {}, frame, ...inside);
}

const node = (x, y, sign) =>
  make(
    "g",
    {},
    make("circle", { cx: px(x), cy: px(y), r: px(0.8), class: "box" }),
    svgText(x, y + 0.42, sign, { class: "sign" }),
  );

/* How far a gate is open, as a bar: a shape, not a color alone. */
function meter(x, y, width, v) {
  const isSigned = v < 0 || v > 1,
    zero = isSigned ? 0.5 : 0,
    part = clamp(isSigned ? v / 2 : v, -0.5, 1);
  const left = x - width / 2 + width * (zero + Math.min(0, part));
  return make(
    "g",
    { "aria-hidden": "true" },
    make("rect", { x: px(x - width / 2), y: px(y), width: px(width), height: px(0.34), rx: 3, class: "track" }),
    make("rect", {
      x: px(left),
      y: px(y),
      width: px(width * Math.abs(part)),
      height: px(0.34),
      rx: 3,
      class: v < 0 ? "bar minus" : "bar",
    }),
  );
}

function gateBox(name, t, k) {
  const { cell } = page.model,
    x = COLUMNS[name],
    y = DIAGRAM.gates,
    kind = name === "g" ? cell.activation : cell.recurrent_activation;
  const isCoupled = name === "f" && cell.coupled_gates;
  return box(
    x,
    y,
    6.9,
    7.2,
    svgText(x, y - 2.3, NAMES[name], { class: "name" }),
    isCoupled
      ? svgText(x, y - 0.75, "1 − i", { class: "soft" })
      : svgNumber(x, y - 0.75, { name: `pre_${name}`, t, k }, "sum "),
    svgText(x, y + 0.5, isCoupled ? "" : kind[0].replace(/_/g, " "), { class: "soft small" }),
    svgNumber(x, y + 1.9, { name, t, k }, `${name} = `, "strong"),
    meter(x, y + 2.6, 5.2, stepAt(t)[name][k]),
  );
}

function stateBox(x, y, words, a, letter) {
  return box(
    x,
    y,
    6.4,
    4.6,
    ...words.map((text, j) => svgText(x, y - 1.2 + j * 1.15, text, { class: "name" })),
    svgNumber(x, y + 1.55, a, `${letter} = `, "strong"),
  );
}

function drawDiagram() {
  const { cell, R } = page.model,
    t = view.step,
    k = view.unit,
    w = weights(),
    d = DIAGRAM,
    top = d.gates - 3.6;
  const here = (name) => ({ name, t, k }),
    isProjected = Boolean(w.weight_hr),
    features = inputSize();
  const activation = cell.cell_activation[0].replace(/_/g, " "),
    add = (COLUMNS.i + COLUMNS.g) / 2,
    meet = 9.6;
  const parts = [
    make(
      "g",
      { "aria-hidden": "true" },
      wire([
        [d.left, d.hLine],
        [COLUMNS.o, d.hLine],
      ]),
      ...Object.values(COLUMNS).map((x) =>
        arrow([
          [x, d.hLine],
          [x, d.gates + 3.7],
        ]),
      ),
      arrow([
        [8.4, 27.2],
        [8.4, d.hLine],
      ]),
      arrow(
        [
          [d.left, d.cLine],
          [d.right - 3.3, d.cLine],
        ],
        "memory",
      ),
      arrow([
        [COLUMNS.f, top],
        [COLUMNS.f, d.cLine + 0.95],
      ]),
      arrow([
        [COLUMNS.i, top],
        [COLUMNS.i, meet],
        [add - 0.95, meet],
      ]),
      arrow([
        [COLUMNS.g, top],
        [COLUMNS.g, meet],
        [add + 0.95, meet],
      ]),
      arrow([
        [add, meet - 0.8],
        [add, d.cLine + 0.95],
      ]),
      arrow([
        [d.out, d.cLine],
        [d.out, d.gates - 0.95],
      ]),
      arrow([
        [COLUMNS.o + 3.45, d.gates],
        [d.out - 0.95, d.gates],
      ]),
      arrow([
        [d.out, d.gates + 0.8],
        [d.out, d.hLine],
        [d.right - 3.25, d.hLine],
      ]),
      node(COLUMNS.f, d.cLine, "×"),
      node(add, meet, "×"),
      node(add, d.cLine, "+"),
      node(d.out, d.gates, "×"),
    ),
    stateBox(d.left, d.cLine, ["long-term", "memory"], here("c_prev"), "c"),
    k < R
      ? stateBox(d.left, d.hLine, ["short-term", "memory"], here("h_prev"), "h")
      : box(d.left, d.hLine, 6.4, 4.6, svgText(d.left, d.hLine, `${R} × h`, { class: "name" })),
    ...Object.keys(COLUMNS).map((name) => gateBox(name, t, k)),
    svgText(COLUMNS.f + 0.6, d.cLine - 3.1, "kept", { class: "name" }),
    svgNumber(COLUMNS.f + 0.6, d.cLine - 1.6, here("kept"), "f × c = "),
    svgText(add + 0.6, d.cLine - 3.1, "added", { class: "name" }),
    svgNumber(add + 0.6, d.cLine - 1.6, here("added"), "i × g = "),
    box(
      d.out,
      10.8,
      6,
      2.9,
      svgText(d.out, 10.3, `${activation}(${w.norm_c_weight ? "norm c" : "c"})`, { class: "soft small" }),
      svgNumber(d.out, 11.7, here("tanh_c")),
    ),
    stateBox(d.right, d.cLine, ["new long-", "term memory"], here("c"), "c"),
    isProjected
      ? box(
          d.right,
          d.hLine,
          6.4,
          4.6,
          svgText(d.right, d.hLine - 1.2, "o × " + activation, { class: "name" }),
          svgText(d.right, d.hLine - 0.05, `to ${R} × h`, { class: "name" }),
          svgNumber(d.right, d.hLine + 1.55, here("m"), "", "strong"),
        )
      : stateBox(d.right, d.hLine, ["new short-", "term memory"], here("h"), "h"),
    features === 1
      ? box(8.4, 27.2, 8.6, 2, svgNumber(8.4, 27.65, { name: "x", t, k: 0 }, "input x = ", "strong"))
      : box(
          8.4,
          27.2,
          9.4,
          2,
          svgNumber(8.4, 27.65, { name: "x", t, k: view.feature }, `x[${view.feature + 1}] of ${features} = `),
        ),
    svgText(16, 27.65, notes().join(" · "), { class: "soft small", style: "text-anchor: start" }),
  ];
  const svg = make(
    "svg",
    {
      viewBox: `0 0 ${px(d.width)} ${px(d.height)}`,
      role: "group",
      class: "unit",
      "aria-label": `${unitName(k)} at ${stepName(t)}: the numbers from both memories and the input to the new memories`,
    },
    ...parts,
  );
  svg.insertAdjacentHTML(
    "afterbegin",
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0.8 L7.5,4 L0,7.2 z" class="head"/></marker></defs>',
  );
  fill(find("#diagram"), svg);
}

/* What differs from the plain cell. */
function notes() {
  const { H, cell } = page.model,
    w = weights(),
    found = [];
  if (H > 1) found.push(`${unitName(view.unit)} of ${H}: its gates read h of all units`);
  if (w.weight_peephole) found.push("peepholes: the gates read c too");
  if (w.norm_ih_weight) found.push("layer normalization");
  if (cell.coupled_gates) found.push("coupled gates");
  if (cell.cell_clip) found.push(`c clipped to ±${cell.cell_clip}`);
  if (cell.gate_clip) found.push(`sums clipped to ±${cell.gate_clip}`);
  return found;
}
