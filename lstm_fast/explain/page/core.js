/* The formulas of lstm_fast.reference in float64: one step forward, one step backward.

   A cell is {coupled_gates, cell_clip, gate_clip, activation, recurrent_activation, cell_activation}, w the parameters
   of one layer and direction as flat Float64Arrays under PyTorch's names without suffix; absent ones are undefined. */

const GATES = ["i", "f", "g", "o"];
const NORM_EPSILON = 1e-5;

/* Each activation as a function of z, and its derivative as a function of the output y. */
const ACTIVATIONS = {
  tanh: [Math.tanh, (y) => 1 - y * y],
  sigmoid: [(z) => 1 / (1 + Math.exp(-z)), (y) => y * (1 - y)],
  relu: [(z) => (z <= 0 ? 0 : z), (y) => (y > 0 ? 1 : 0)],
  affine: [(z, a, b) => a * z + b, (y, a) => a],
  leaky_relu: [(z, a) => (z < 0 ? a * z : z), (y, a) => (y <= 0 ? a : 1)],
  thresholded_relu: [(z, a) => (z < a ? 0 : z), (y) => (y > 0 ? 1 : 0)],
  scaled_tanh: [(z, a, b) => a * Math.tanh(b * z), (y, a, b) => b * (a - y * (y / a))],
  hard_sigmoid: [(z, a, b) => Math.min(1, Math.max(0, a * z + b)), (y, a) => (y > 0 && y < 1 ? a : 0)],
  elu: [(z, a) => (z < 0 ? a * Math.expm1(z) : z), (y, a) => (y <= 0 ? y + a : 1)],
  softsign: [(z) => z / (1 + Math.abs(z)), (y) => (1 - Math.abs(y)) ** 2],
  softplus: [(z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))), (y) => -Math.expm1(-y)],
};

const activate = ([name, ...parameters], z) => ACTIVATIONS[name][0](z, ...parameters);
const slope = ([name, ...parameters], y) => ACTIVATIONS[name][1](y, ...parameters);
const at = (array, k) => (array ? array[k] : 0);
const clip = (z, bound) => (bound ? Math.min(bound, Math.max(-bound, z)) : z);
const isClipped = (z, bound) => Boolean(bound) && Math.abs(z) >= bound;
const mean = (a) => a.reduce((sum, v) => sum + v, 0) / a.length;

function product(W, v) {
  const n = v.length,
    y = new Float64Array(W.length / n);
  for (let r = 0; r < y.length; r++) {
    let sum = 0;
    for (let k = 0, j = r * n; k < n; k++, j++) sum += W[j] * v[k];
    y[r] = sum;
  }
  return y;
}

function productBackward(W, v, d, d_W) {
  const n = v.length,
    d_v = new Float64Array(n);
  for (let r = 0; r < d.length; r++)
    for (let k = 0; k < n; k++) {
      d_W[r * n + k] += d[r] * v[k];
      d_v[k] += d[r] * W[r * n + k];
    }
  return d_v;
}

function standardize(a) {
  const m = mean(a),
    deviation = Math.sqrt(mean(a.map((v) => (v - m) ** 2)) + NORM_EPSILON);
  return { mean: m, deviation, n: a.map((v) => (v - m) / deviation) };
}

function norm(a, weight, bias) {
  return weight ? standardize(a).n.map((v, k) => v * weight[k] + at(bias, k)) : a;
}

function normBackward(d, a, weight, d_weight) {
  if (!weight) return d;
  const { n, deviation } = standardize(a),
    d_n = d.map((v, k) => v * weight[k]);
  const m = mean(d_n),
    m_n = mean(d_n.map((v, k) => v * n[k]));
  d.forEach((v, k) => (d_weight[k] += v * n[k]));
  return d_n.map((v, k) => (v - m - n[k] * m_n) / deviation);
}

/* held: values fixed by the reader, {f: Map(unit => value), ...}; they override the formulas. */
function stepForward(x, h_prev, c_prev, w, cell, held = {}) {
  const H = c_prev.length,
    p = w.weight_peephole;
  const s = { x, h_prev, c_prev, held, pre: new Float64Array(4 * H) };
  for (const name of ["i", "f", "g", "o", "c", "tanh_c", "m"]) s[name] = new Float64Array(H);
  const unlessHeld = (name, k, value) => held[name]?.get(k) ?? value;
  s.a_x = product(w.weight_ih, x);
  s.a_h = product(w.weight_hh, h_prev);
  s.n_x = norm(s.a_x, w.norm_ih_weight);
  s.n_h = norm(s.a_h, w.norm_hh_weight);
  const sum = (r) => s.n_x[r] + at(w.bias_ih, r) + s.n_h[r] + at(w.bias_hh, r);
  for (let k = 0; k < H; k++) {
    s.pre[k] = clip(sum(k) + at(p, k) * c_prev[k], cell.gate_clip);
    s.pre[H + k] = clip(sum(H + k) + at(p, H + k) * c_prev[k], cell.gate_clip);
    s.pre[2 * H + k] = clip(sum(2 * H + k), cell.gate_clip);
    s.i[k] = unlessHeld("i", k, activate(cell.recurrent_activation, s.pre[k]));
    s.f[k] = unlessHeld("f", k, cell.coupled_gates ? 1 - s.i[k] : activate(cell.recurrent_activation, s.pre[H + k]));
    s.g[k] = unlessHeld("g", k, activate(cell.activation, s.pre[2 * H + k]));
    s.c[k] = unlessHeld("c", k, clip(s.f[k] * c_prev[k] + s.i[k] * s.g[k], cell.cell_clip));
    s.pre[3 * H + k] = clip(sum(3 * H + k) + at(p, 2 * H + k) * s.c[k], cell.gate_clip);
    s.o[k] = unlessHeld("o", k, activate(cell.recurrent_activation, s.pre[3 * H + k]));
  }
  s.n_c = norm(s.c, w.norm_c_weight, w.norm_c_bias);
  for (let k = 0; k < H; k++) {
    s.tanh_c[k] = activate(cell.cell_activation, s.n_c[k]);
    s.m[k] = s.o[k] * s.tanh_c[k];
  }
  s.h = (w.weight_hr ? product(w.weight_hr, s.m) : s.m).map((v, k) => unlessHeld("h", k, v));
  return s;
}

/* Gradients of a loss from those of h and c: of x, h_prev and c_prev; those of the parameters are added to d_w. */
function stepBackward(s, d_h, d_c, w, cell, d_w) {
  const H = s.c.length,
    p = w.weight_peephole,
    free = (name, k) => !s.held[name]?.has(k);
  d_h = d_h.map((v, k) => (free("h", k) ? v : 0));
  const d_m = w.weight_hr ? productBackward(w.weight_hr, s.m, d_h, d_w.weight_hr) : d_h;
  const d_n_c = d_m.map((v, k) => v * s.o[k] * slope(cell.cell_activation, s.tanh_c[k]));
  if (w.norm_c_bias) d_n_c.forEach((v, k) => (d_w.norm_c_bias[k] += v));
  const d_c_h = normBackward(d_n_c, s.c, w.norm_c_weight, d_w.norm_c_weight);
  const d_pre = new Float64Array(4 * H),
    d_c_prev = new Float64Array(H);
  const through = (name, gate, k, d, y, kind) => {
    const r = gate * H + k;
    d_pre[r] = free(name, k) && !isClipped(s.pre[r], cell.gate_clip) ? d * slope(kind, y) : 0;
  };
  for (let k = 0; k < H; k++) {
    through("o", 3, k, d_m[k] * s.tanh_c[k], s.o[k], cell.recurrent_activation);
    let d = d_c[k] + d_c_h[k] + d_pre[3 * H + k] * at(p, 2 * H + k);
    if (!free("c", k) || isClipped(s.c[k], cell.cell_clip)) d = 0;
    let d_i = d * s.g[k];
    const d_f = d * s.c_prev[k];
    if (!cell.coupled_gates) through("f", 1, k, d_f, s.f[k], cell.recurrent_activation);
    else if (free("f", k)) d_i -= d_f;
    through("i", 0, k, d_i, s.i[k], cell.recurrent_activation);
    through("g", 2, k, d * s.i[k], s.g[k], cell.activation);
    d_c_prev[k] = d * s.f[k] + d_pre[k] * at(p, k) + d_pre[H + k] * at(p, H + k);
    if (p) {
      d_w.weight_peephole[k] += d_pre[k] * s.c_prev[k];
      d_w.weight_peephole[H + k] += d_pre[H + k] * s.c_prev[k];
      d_w.weight_peephole[2 * H + k] += d_pre[3 * H + k] * s.c[k];
    }
  }
  for (const name of ["bias_ih", "bias_hh"]) if (w[name]) d_pre.forEach((v, r) => (d_w[name][r] += v));
  const d_a_x = normBackward(d_pre, s.a_x, w.norm_ih_weight, d_w.norm_ih_weight);
  const d_a_h = normBackward(d_pre, s.a_h, w.norm_hh_weight, d_w.norm_hh_weight);
  const d_x = productBackward(w.weight_ih, s.x, d_a_x, d_w.weight_ih);
  return { d_x, d_h_prev: productBackward(w.weight_hh, s.h_prev, d_a_h, d_w.weight_hh), d_c_prev };
}

/* The steps of one layer in one direction, in the order of time; xs[t] are its inputs. */
function layerForward(xs, h_0, c_0, w, cell, isReverse = false, heldAt = () => undefined) {
  const steps = new Array(xs.length);
  let h = h_0,
    c = c_0;
  for (let k = 0; k < xs.length; k++) {
    const t = isReverse ? xs.length - 1 - k : k;
    steps[t] = stepForward(xs[t], h, c, w, cell, heldAt(t));
    ({ h, c } = steps[t]);
  }
  return steps;
}

const zerosLike = (w) => Object.fromEntries(Object.entries(w).map(([name, v]) => [name, new Float64Array(v.length)]));

/* Backpropagation through time from the gradients of the last h and c. d_hs[t], d_cs[t]: what reaches step t. */
function layerBackward(steps, d_h, d_c, w, cell, isReverse = false, d_w = zerosLike(w)) {
  const T = steps.length,
    d_xs = new Array(T),
    d_hs = new Array(T),
    d_cs = new Array(T);
  for (let k = T - 1; k >= 0; k--) {
    const t = isReverse ? T - 1 - k : k,
      d = stepBackward(steps[t], d_h, d_c, w, cell, d_w);
    [d_xs[t], d_hs[t], d_cs[t]] = [d.d_x, d.d_h_prev, d.d_c_prev];
    [d_h, d_c] = [d.d_h_prev, d.d_c_prev];
  }
  return { d_xs, d_hs, d_cs, d_w, d_h_0: d_h, d_c_0: d_c };
}

/* A plain RNN of one unit, h = x + weight * h_prev: how a first value of 1 decays, and the gradient from the end. */
function plainRnn(weight, n) {
  const h = [1],
    d = new Array(n + 1);
  for (let t = 1; t <= n; t++) h.push(weight * h[t - 1]);
  d[n] = 1;
  for (let t = n; t > 0; t--) d[t - 1] = weight * d[t];
  return { h, d };
}

/* One step of Adam on the numbers of p, in place, with the defaults of lstm_fast.train.Adam. */
function adamStep(p, gradient, moments, t, lr) {
  const [b1, b2, epsilon] = [0.9, 0.999, 1e-8];
  for (let k = 0; k < p.length; k++) {
    moments.m[k] = b1 * moments.m[k] + (1 - b1) * gradient[k];
    moments.v[k] = b2 * moments.v[k] + (1 - b2) * gradient[k] ** 2;
    p[k] -= (lr * (moments.m[k] / (1 - b1 ** t))) / (Math.sqrt(moments.v[k] / (1 - b2 ** t)) + epsilon);
  }
}
