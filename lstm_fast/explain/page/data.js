/* What the library wrote into the page, the model as a reader has changed it, and its steps. */

const DIGITS = [..."0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;/=>?@^_`{|}~"];
const VALUES = Object.fromEntries(DIGITS.map((digit, value) => [digit, value]));

/* Five digits are four bytes. */
function decode({ shape, dtype, base85 }) {
  const bytes = new DataView(new ArrayBuffer((base85.length / 5) * 4)),
    size = dtype === "float32" ? 4 : 8;
  for (let k = 0; 5 * k < base85.length; k++) {
    let word = 0;
    for (let j = 0; j < 5; j++) word = 85 * word + VALUES[base85[5 * k + j]];
    bytes.setUint32(4 * k, word);
  }
  const read = size === 4 ? "getFloat32" : "getFloat64";
  return { shape, data: Float64Array.from({ length: bytes.byteLength / size }, (_, k) => bytes[read](k * size, true)) };
}

/* Rows of a flat array: the last n numbers of each index before them. */
const row = (data, n, k) => data.slice(k * n, (k + 1) * n);

function loadModel(written) {
  const { num_layers: L, num_directions: D, hidden_size: H, h_size: R, input_size: I } = written;
  const x = decode(written.x),
    [T, B] = x.shape,
    h_0 = decode(written.h_0),
    c_0 = decode(written.c_0);
  const layers = written.suffixes.map((suffix) => {
    const names = Object.keys(written.parameters).filter(
      (name) => name.replace(/_l\d+(_reverse)?$/, "") + suffix === name,
    );
    return Object.fromEntries(
      names.map((name) => [name.slice(0, -suffix.length), decode(written.parameters[name]).data]),
    );
  });
  const cell = Object.fromEntries(
    ["coupled_gates", "cell_clip", "gate_clip", "activation", "recurrent_activation", "cell_activation"].map((name) => [
      name,
      written[name],
    ]),
  );
  const sequences = Array.from({ length: B }, (_, b) => Array.from({ length: T }, (_, t) => row(x.data, I, t * B + b)));
  const states = ({ data }, n) =>
    Array.from({ length: L * D }, (_, l) => Array.from({ length: B }, (_, b) => row(data, n, l * B + b)));
  return { L, D, H, R, I, T, B, cell, layers, x: sequences, h_0: states(h_0, R), c_0: states(c_0, H), held: new Map() };
}

const copyModel = (m) => ({
  ...m,
  layers: m.layers.map((w) => Object.fromEntries(Object.entries(w).map(([name, v]) => [name, v.slice()]))),
  x: m.x.map((xs) => xs.map((x) => x.slice())),
  h_0: m.h_0.map((states) => states.map((h) => h.slice())),
  c_0: m.c_0.map((states) => states.map((c) => c.slice())),
  held: new Map(),
});

/* held is a Map from "layer index/sequence/step" to {name: Map(unit => value)}. */
function hold(model, index, b, t, name, unit, value) {
  const key = `${index}/${b}/${t}`;
  if (!model.held.has(key)) model.held.set(key, {});
  const names = model.held.get(key);
  names[name] ??= new Map();
  names[name].set(unit, value);
}

/* Steps of every layer and direction over one sequence: run[layer * D + direction][t]. */
function runModel(m, b) {
  const run = [];
  let xs = m.x[b];
  for (let layer = 0; layer < m.L; layer++) {
    for (let direction = 0; direction < m.D; direction++) {
      const k = layer * m.D + direction;
      const heldAt = (t) => m.held.get(`${k}/${b}/${t}`);
      run.push(layerForward(xs, m.h_0[k][b], m.c_0[k][b], m.layers[k], m.cell, direction === 1, heldAt));
    }
    const below = run.slice(layer * m.D);
    xs = xs.map((_, t) => Float64Array.from(below.flatMap((steps) => [...steps[t].h])));
  }
  return run;
}

/* The largest difference between what the page computes and what the library has written, |c| > 1 relatively. */
function verify(m, written) {
  const runs = m.x.map((_, b) => runModel(m, b));
  let largest = 0,
    compared = 0;
  for (const [name, { every, ...array }] of Object.entries(written.recorded)) {
    const { shape, data } = decode(array),
      [, , n, B, size] = shape;
    for (let k = 0; k < data.length; k++) {
      const unit = k % size,
        b = Math.floor(k / size) % B,
        t = (Math.floor(k / size / B) % n) * every;
      const value = runs[b][Math.floor(k / size / B / n)][t][name][unit];
      const difference = Math.abs(value - data[k]) / Math.max(1, Math.abs(data[k]));
      if (!(difference <= largest)) largest = difference; // NaN too
      compared += 1;
    }
  }
  return { largest, compared, isRight: largest <= 1e-6 };
}
