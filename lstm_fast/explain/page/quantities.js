/* Every number in the page has an address: where it is, what it is called, its value, and how it is changed.

   {name, t, k}            an activation: i f g o c h tanh_c m n_c pre_i ... of unit k at step t
   {name: "x", t, k}       an input of the layer
   {name: "h_prev"...}     is h of the step before, or h_0
   {name: "weight_ih", k}  a number of a parameter, by its place in the flat array
   Layer, direction and sequence are those that are shown, unless the address has a `layer` of its own. */

const PARAMETERS = /^(weight|bias|norm)_/;

const NAMES = {
  i: "input gate",
  f: "forget gate",
  g: "candidate",
  o: "output gate",
  c: "long-term memory",
  h: "short-term memory",
  x: "input",
  tanh_c: "memory, activated",
  n_c: "memory, normalized",
  m: "before the projection",
  kept: "kept",
  added: "added",
};

/* What is shown and where: filled by main.js. */
const view = { sequence: 0, layer: 0, direction: 0, step: 0, unit: 0, feature: 0 };
const page = { original: null, model: null, run: null, originalRun: null };

const layerIndex = (a = view) => (a.layer ?? view.layer) * page.model.D + (a.direction ?? view.direction);
const isReverse = () => view.direction === 1;
const before = (t) => (isReverse() ? t + 1 : t - 1);
const isFirst = (t) => before(t) < 0 || before(t) >= page.model.T;
const weights = (model = page.model) => model.layers[layerIndex()];
const inputSize = () => (view.layer === 0 ? page.model.I : page.model.D * page.model.R);
const stepAt = (t, run = page.run) => run[layerIndex()][t];

/* h_prev and c_prev at step t are h and c of the step before, or the first state. */
function resolve(a) {
  if (a.name !== "h_prev" && a.name !== "c_prev") return a;
  const name = a.name[0];
  return isFirst(a.t) ? { name: `${name}_0`, k: a.k } : { name, t: before(a.t), k: a.k };
}

function valueIn(a, model, run) {
  a = resolve(a);
  const { H } = model,
    k = a.k;
  if (PARAMETERS.test(a.name)) return weights(model)[a.name][k];
  if (a.name === "h_0" || a.name === "c_0") return model[a.name][layerIndex()][view.sequence][k];
  const s = stepAt(a.t, run);
  if (a.name.startsWith("pre_")) return s.pre[GATES.indexOf(a.name.slice(4)) * H + k];
  if (a.name === "kept") return s.f[k] * s.c_prev[k];
  if (a.name === "added") return s.i[k] * s.g[k];
  return s[a.name][k];
}

const valueOf = (a) => valueIn(a, page.model, page.run);
const originalOf = (a) => valueIn(a, page.original, page.originalRun);

const sub = (n) => [...String(n)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[digit] ?? digit).join("");
/* The caller's name of an input of the first layer, if it has one. */
const featureName = (k) => (view.layer === 0 ? page.features?.[k] : undefined);
const featureWords = (k) => featureName(k) ?? `feature ${k + 1}`;
const stepName = (t) => `step ${t + 1}`;
const unitName = (k) => `unit ${k + 1}`;

function symbolOf(a) {
  const many = page.model.H > 1,
    { H } = page.model;
  if (PARAMETERS.test(a.name)) {
    const n = { weight_ih: inputSize(), weight_hh: page.model.R, weight_hr: H }[a.name] ?? 1;
    const r = Math.floor(a.k / n),
      letter = { weight_ih: "W", weight_hh: "U", weight_hr: "P" }[a.name];
    if (a.name === "weight_hr") return `P[${r + 1},${(a.k % n) + 1}]`;
    if (letter)
      return `${letter}_${GATES[Math.floor(r / H)]}${n > 1 || many ? `[${(r % H) + 1},${(a.k % n) + 1}]` : ""}`;
    if (a.name === "weight_peephole") return `p_${"ifo"[Math.floor(a.k / H)]}${many ? `[${(a.k % H) + 1}]` : ""}`;
    if (a.name.startsWith("bias")) return `b${a.name === "bias_hh" ? "′" : ""}_${GATES[Math.floor(a.k / H)]}`;
    return a.name.replace(/_/g, " ");
  }
  const names = { tanh_c: `${page.model.cell.cell_activation[0]}(c)`, n_c: "norm(c)", kept: "f × c", added: "i × g" };
  const name = names[a.name] ?? a.name.replace("_prev", "").replace("_0", "").replace("pre_", "sum_");
  const n = a.name.endsWith("_0") ? 0 : a.t === undefined ? "" : (resolve(a).t ?? -1) + 1;
  const t = n === "" ? "" : name.includes("_") ? `,${n}` : sub(n);
  const isVector = a.name === "x" ? inputSize() > 1 : many;
  return `${name}${t}${isVector ? `[${a.k + 1}]` : ""}`;
}

/* The symbol as elements: what follows an underscore is set below the line. */
const symbol = (a) =>
  make(
    "i",
    {},
    symbolOf(a)
      .split(/(_[\w,]+)/)
      .filter(Boolean)
      .map((part) => (part[0] === "_" ? make("sub", {}, part.slice(1)) : part)),
  );

/* In words, for labels and screen readers. */
function wordsOf(a) {
  if (PARAMETERS.test(a.name))
    return `weight ${symbolOf(a).replace("_", " ")} of ${a.name}${page.suffixes[layerIndex()]}`;
  const of = a.name === "x" ? featureWords(a.k) : unitName(a.k),
    name = a.name.replace(/_(prev|0)$/, "");
  const words = name.startsWith("pre_") ? `sum of the ${NAMES[name.slice(4)]}` : (NAMES[name] ?? name);
  const { t } = resolve(a),
    letter = name.length === 1 ? ` ${name}` : "";
  return `${words}${letter}${t === undefined ? " before the first step" : `, ${stepName(t)}`}, ${of}`;
}

/* Plain numbers of four significant digits; tiny and huge ones with a power of ten. */
function format(v, digits = 4) {
  if (!Number.isFinite(v)) return Number.isNaN(v) ? "not a number" : v > 0 ? "∞" : "−∞";
  const size = Math.abs(v);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
    const [head, power] = v.toExponential(2).split("e");
    return `${head.replace("-", "−")}·10${[...String(Number(power))].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d] ?? "⁻").join("")}`;
  }
  const text = v.toFixed(size >= 100 ? Math.max(0, digits - 3) : size >= 10 ? digits - 2 : digits - 1);
  return (/^-0\.?0*$/.test(text) ? text.slice(1) : text).replace("-", "−");
}
