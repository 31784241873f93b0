/* Fifty steps: a plain RNN compared with an LSTM unit. Both keep a first value of 1 and read zeros; what is left of it after n
   steps, and the gradient of the last value by the first, from backpropagation through both. */

const SPAN = 50;
const spanCell = {
  coupled_gates: false,
  cell_clip: null,
  gate_clip: null,
  activation: ["tanh"],
  recurrent_activation: ["sigmoid"],
  cell_activation: ["tanh"],
};

/* As lstm_fast.tour.gradients.lstm_span: the bias of the forget gate is the only parameter that is not 0. */
function lstmSpan(bias, n) {
  const w = Object.fromEntries(
    [
      ["weight_ih", 4],
      ["weight_hh", 4],
      ["bias_ih", 4],
      ["bias_hh", 4],
    ].map(([name, size]) => [name, new Float64Array(size)]),
  );
  w.bias_ih[1] = bias;
  const zero = Float64Array.of(0),
    one = Float64Array.of(1),
    xs = Array(n).fill(zero);
  const steps = layerForward(xs, zero, one, w, spanCell);
  const { d_cs } = layerBackward(steps, zero, one, w, spanCell);
  return { factor: steps[0].f[0], memory: [1, ...steps.map((s) => s.c[0])], gradient: [...d_cs.map((d) => d[0]), 1] };
}

function spanLine(values, x, y, name) {
  const points = values.map((v, t) => `${x(t).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
  return make("polyline", { points, class: name });
}

function drawSpan() {
  const weight = Number(find("#rnn-weight").value),
    bias = Number(find("#forget-bias").value);
  const rnn = plainRnn(weight, SPAN),
    lstm = lstmSpan(bias, SPAN);
  find("#rnn-weight-value").textContent = weight.toFixed(2);
  find("#forget-bias-value").textContent = `${bias.toFixed(1)}, so f = ${format(lstm.factor)}`;
  const width = widthOf("#span-chart"),
    height = 260,
    left = 62,
    bottom = 34,
    low = -18,
    high = 18;
  const x = (t) => left + (t / SPAN) * (width - left - 16);
  const y = (v) => {
    // log scale; beyond it, and at 0, the line runs along the edge
    const power = clamp(Math.log10(Math.max(Math.abs(v), 1e-300)), low, high);
    return 10 + ((high - power) / (high - low)) * (height - bottom - 10);
  };
  const grid = [-15, -10, -5, 0, 5, 10, 15].map((power) =>
    make(
      "g",
      {},
      make("line", {
        x1: left,
        x2: width - 16,
        y1: y(10 ** power),
        y2: y(10 ** power),
        class: power ? "grid" : "zero",
      }),
      make(
        "text",
        { x: left - 6, y: y(10 ** power) + 4, class: "tick" },
        power ? `10${[...String(power)].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d] ?? "⁻").join("")}` : "1",
      ),
    ),
  );
  const last = (v) => clamp(y(v) + 4, 16, height - bottom);
  fill(
    find("#span-chart"),
    make(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        role: "img",
        "aria-label": `Gradient of the last value by the value at each step, log scale. Plain RNN at step 1: ${format(rnn.d[0])}. LSTM: ${format(lstm.gradient[0])}.`,
      },
      ...grid,
      spanLine(rnn.d, x, y, "rnn"),
      spanLine(lstm.gradient, x, y, "now"),
      make("text", { x: x(1), y: last(rnn.d[0]) + (weight > 1 ? -12 : 18), class: "direct rnn-name" }, "plain RNN"),
      make("text", { x: x(1), y: last(lstm.gradient[0]) - 9, class: "direct" }, "LSTM"),
      make("text", { x: x(0), y: height - 10, class: "axis" }, "step 1"),
      make("text", { x: x(SPAN), y: height - 10, class: "axis end" }, `last step, ${SPAN} later`),
    ),
  );
  const rowOf = (name, id, factor, left_, gradient) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, name),
      make("td", {}, factor),
      make("td", { id: `${id}-memory` }, format(left_)),
      make("td", { id: `${id}-gradient` }, format(gradient)),
    );
  fill(
    find("#span-table"),
    make(
      "table",
      {},
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          ["", "each step multiplies by", `a first value of 1 after ${SPAN} steps`, "gradient that reaches step 1"].map(
            (words) => (words ? make("th", { scope: "col" }, words) : make("td")),
          ),
        ),
      ),
      make(
        "tbody",
        {},
        rowOf("plain RNN", "rnn", weight.toFixed(2), rnn.h[SPAN], rnn.d[0]),
        rowOf("LSTM", "lstm", format(lstm.factor), lstm.memory[SPAN], lstm.gradient[0]),
      ),
    ),
  );
  const verdict =
    Math.abs(rnn.d[0]) > 1e3
      ? "It explodes: one training step would ruin every weight."
      : Math.abs(rnn.d[0]) < 1e-3
        ? "It vanishes: step 1 teaches nothing."
        : "It happens to survive: only because the weight is almost exactly 1.";
  find("#span-words").textContent =
    `${weight.toFixed(2)}${superscript(SPAN)} = ${format(rnn.d[0])}. ${verdict} The LSTM multiplies by its forget gate instead, which it learns and can hold near 1: ${format(lstm.factor)}${superscript(SPAN)} = ${format(lstm.gradient[0])}.`;
}

const superscript = (n) => [...String(n)].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]).join("");

function listenToSpan() {
  for (const id of ["#rnn-weight", "#forget-bias"]) find(id).addEventListener("input", drawSpan);
  for (const preset of document.querySelectorAll("[data-weight]"))
    preset.addEventListener("click", () => {
      find("#rnn-weight").value = preset.dataset.weight;
      drawSpan();
      say(find("#span-words").textContent);
    });
}
