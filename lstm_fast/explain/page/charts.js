/* Lines over time of x, c and h of the chosen unit: as written (dashed) and as changed. Points can be dragged. */

const CHART = { height: 132, left: 46, right: 12, top: 12, bottom: 20 };

/* A scale of an axis: from numbers to pixels, with room on both sides. */
function axis(values, low, high) {
  let [least, most] = [Math.min(...values), Math.max(...values)];
  if (most - least < 1e-9) [least, most] = [least - 1, most + 1];
  const room = (most - least) * 0.12;
  [least, most] = [least - room, most + room];
  return {
    least,
    most,
    perPixel: (most - least) / Math.abs(high - low),
    at: (v) => low + ((v - least) / (most - least)) * (high - low),
  };
}

/* A round number near a fifth of the span, for ticks. */
function ticks({ least, most }, n = 3) {
  const raw = (most - least) / n,
    power = 10 ** Math.floor(Math.log10(raw)),
    step = [1, 2, 5, 10].find((k) => k * power >= raw) * power;
  const first = Math.ceil(least / step) * step;
  return Array.from({ length: Math.floor((most - first) / step) + 1 }, (_, k) => first + k * step);
}

/* While a number is dragged its chart keeps its scale: else the point would run away from the pointer. */
const frozen = new Map();

function chart(name, k, words) {
  const { T } = page.model,
    c = { ...CHART, width: widthOf("#charts") },
    x = (t) => c.left + ((t + 0.5) / T) * (c.width - c.left - c.right);
  const now = page.run[layerIndex()].map((s) => s[name][k]),
    was = page.originalRun[layerIndex()].map((s) => s[name][k]);
  const isDragging = document.body.classList.contains("dragging-y");
  const key = `${layerIndex()}/${view.sequence}/${name}/${k}`;
  if (!isDragging || !frozen.has(key)) frozen.set(key, axis([...now, ...was, 0], c.height - c.bottom, c.top));
  const y = frozen.get(key),
    points = (values) => values.map((v, t) => `${x(t).toFixed(1)},${y.at(v).toFixed(1)}`).join(" ");
  const handles = (T <= 40 ? [...now.keys()] : [view.step]).map((t) => {
    const a = { name, t, k },
      attributes = numberAttributes(a, { place: "chart/", class: t === view.step ? "chosen" : "" });
    const isKey = t === view.step ? 0 : -1; // one stop of the Tab key for each chart
    return make(
      "g",
      { ...attributes, tabindex: isKey, "data-drag": "y", "data-perpixel": y.perPixel },
      make("circle", { cx: x(t), cy: y.at(now[t]), r: 13, class: "hit" }),
      make("circle", { cx: x(t), cy: y.at(now[t]), r: t === view.step ? 6 : T > 20 ? 3 : 4, class: "dot" }),
      T <= 12 ? make("text", { x: x(t), y: y.at(now[t]) + (y.at(now[t]) < 32 ? 20 : -10) }, format(now[t])) : undefined,
    );
  });
  const svg = make(
    "svg",
    { viewBox: `0 0 ${c.width} ${c.height}`, role: "group", "aria-label": `${words} over ${T} steps` },
    ...ticks(y).map((v) =>
      make(
        "g",
        {},
        make("line", {
          x1: c.left,
          x2: c.width - c.right,
          y1: y.at(v),
          y2: y.at(v),
          class: Math.abs(v) < 1e-12 ? "zero" : "grid",
        }),
        make("text", { x: c.left - 6, y: y.at(v) + 4, class: "tick" }, format(v, 3).replace(/\.?0+$/, "") || "0"),
      ),
    ),
    make("line", { x1: x(view.step), x2: x(view.step), y1: c.top - 6, y2: c.height - c.bottom, class: "cursor" }),
    edits.size ? make("polyline", { points: points(was), class: "was" }) : undefined,
    make("polyline", { points: points(now), class: "now" }),
    ...handles,
    make("text", { x: x(0), y: c.height - 4, class: "axis" }, "step 1"),
    make("text", { x: x(T - 1), y: c.height - 4, class: "axis" }, T > 1 ? `${T}` : ""),
  );
  return make(
    "figure",
    { class: "chart" },
    make("figcaption", {}, make("b", {}, make("i", {}, name), ` ${words}`), chartReadout(name, k, now, was)),
    svg,
  );
}

function chartReadout(name, k, now, was) {
  const t = view.step,
    differs = Math.abs(now[t] - was[t]) > 1e-12;
  return make(
    "span",
    { class: "readout" },
    `${stepName(t)}: ${format(now[t])}${differs ? `, was ${format(was[t])}` : ""}`,
  );
}

function drawCharts() {
  const { R } = page.model,
    k = view.unit,
    of = page.model.H > 1 ? `, ${unitName(k)}` : "";
  fill(
    find("#charts"),
    chart(
      "x",
      Math.min(view.feature, inputSize() - 1),
      inputSize() > 1 || featureName(0) ? `input, ${featureWords(view.feature)}` : "input",
    ),
    chart("c", k, `long-term memory${of}`),
    k < R ? chart("h", k, `short-term memory${of}`) : undefined,
  );
}
