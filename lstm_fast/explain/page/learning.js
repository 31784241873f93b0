/* A unit learns the two companies while one watches: the same steps as lstm_fast.tour.training, Adam included. */

const learner = { draw: 0, isRunning: false };

function startLearner(k) {
  const { draws } = page.learning,
    p = decode(draws[k % draws.length]).data;
  Object.assign(learner, {
    draw: k % draws.length,
    p,
    losses: [],
    t: 0,
    isDone: false,
    moments: { m: new Float64Array(p.length), v: new Float64Array(p.length) },
  });
  measure();
}

/* The flat parameters as views by name: changes of one are changes of the other. */
const viewsOf = (p) =>
  Object.fromEntries(page.learning.order.map((name, k) => [name.replace("_l0", ""), p.subarray(4 * k, 4 * k + 4)]));

function passes(p) {
  const w = viewsOf(p),
    zero = Float64Array.of(0);
  return page.learning.companies.map(({ x, truth }) => {
    const steps = layerForward(
      x.map((v) => Float64Array.of(v)),
      zero,
      zero,
      w,
      spanCell,
    );
    return { steps, w, error: steps.at(-1).h[0] - truth };
  });
}

function measure() {
  learner.passes = passes(learner.p);
  learner.losses.push(learner.passes.reduce((sum, { error }) => sum + error ** 2, 0));
  learner.isDone = learner.passes.every(({ error }) => Math.abs(error) < page.learning.bound);
}

function learn() {
  const gradient = new Float64Array(learner.p.length),
    d_w = viewsOf(gradient);
  for (const { steps, w, error } of learner.passes)
    layerBackward(steps, Float64Array.of(2 * error), Float64Array.of(0), w, spanCell, false, d_w);
  adamStep(learner.p, gradient, learner.moments, ++learner.t, page.learning.lr);
  measure();
}

const isStuck = () => !learner.isDone && learner.t >= page.learning.max_steps;

function runLearner() {
  if (!learner.isRunning) return;
  for (let k = 0; k < 4 && !learner.isDone && !isStuck(); k++) learn();
  if (learner.isDone || isStuck()) {
    learner.isRunning = false;
    say(find("#learn-words").textContent);
  } else requestAnimationFrame(runLearner);
  drawLearning();
}

function drawLearning() {
  const { losses } = learner,
    width = widthOf("#learn-chart"),
    height = 240,
    left = 52,
    bottom = 30,
    n = Math.max(60, losses.length - 1);
  const x = (t) => left + (t / n) * (width - left - 16),
    low = -3,
    high = 0.5;
  const y = (v) => 10 + ((high - clamp(Math.log10(v), low, high)) / (high - low)) * (height - bottom - 10);
  const stride = Math.ceil(losses.length / 600),
    points = losses.map((v, t) => [v, t]).filter(([, t]) => t % stride === 0 || t === losses.length - 1);
  fill(
    find("#learn-chart"),
    make(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        role: "img",
        "aria-label": `Loss at every training step, log scale: ${format(losses[0])} at first, ${format(losses.at(-1))} now`,
      },
      ...[1, 0.1, 0.01, 0.001].map((v) =>
        make(
          "g",
          {},
          make("line", { x1: left, x2: width - 16, y1: y(v), y2: y(v), class: "grid" }),
          make("text", { x: left - 6, y: y(v) + 4, class: "tick" }, String(v)),
        ),
      ),
      make("polyline", {
        points: points.map(([v, t]) => `${x(t).toFixed(1)},${y(v).toFixed(1)}`).join(" "),
        class: "now",
      }),
      make("circle", { cx: x(losses.length - 1), cy: y(losses.at(-1)), r: 5, class: "dot" }),
      make("text", { x: left, y: height - 8, class: "axis" }, "training step 0"),
      make("text", { x: width - 16, y: height - 8, class: "axis end" }, String(n)),
    ),
  );
  fill(
    find("#learn-companies"),
    page.learning.companies.map(({ name, x: days, truth }, k) => {
      const h = learner.passes[k].steps.at(-1).h[0];
      const place = (v) => `${clamp((v + 1) / 2.1, 0, 1) * 100}%`;
      return make(
        "div",
        { class: "company" },
        make("b", {}, `Company ${name}`),
        make("span", { class: "soft" }, ` ${days.map((v) => format(v, 3)).join(", ")} → ${truth}`),
        make(
          "div",
          { class: "gauge", role: "img", "aria-label": `predicts ${format(h)}, truth ${truth}` },
          make("span", { class: "truth", style: `left:${place(truth)}` }),
          make("span", { class: "guess", style: `left:${place(h)}` }),
        ),
        make("span", {}, "predicts ", make("b", { id: `predicts-${name}` }, format(h)), `, truth ${truth}`),
      );
    }),
  );
  const state = learner.isDone
    ? `Learned after ${learner.t} steps.`
    : isStuck()
      ? `Stuck on a plateau after ${learner.t} steps: a unit this small can be. Try another draw.`
      : `${learner.t} steps so far.`;
  find("#learn-words").textContent =
    `Draw ${learner.draw + 1} of random weights. Loss ${format(losses.at(-1))}. ${state}`;
  find("#learn-run").textContent = learner.isRunning ? "Pause" : "Train";
  for (const id of ["#learn-run", "#learn-step"]) find(id).disabled = learner.isDone || isStuck();
  const rows = [
    ["× x", "weight_ih"],
    ["× h before", "weight_hh"],
    ["+ bias_ih", "bias_ih"],
    ["+ bias_hh", "bias_hh"],
  ].map(([words, name]) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, words),
      [...viewsOf(learner.p)[name]].map((v) => make("td", {}, format(v))),
    ),
  );
  fill(
    find("#learn-weights"),
    make(
      "table",
      {},
      make("caption", {}, "Its weights now"),
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          make("td", {}),
          GATES.map((gate) => make("th", { scope: "col" }, make("i", {}, gate))),
        ),
      ),
      make("tbody", {}, rows),
    ),
  );
}

/* Whether the unit above has the shape and the formulas of this one. */
function isSameKind() {
  const { L, D, H, I, cell, layers } = page.original,
    names = Object.keys(layers[0]).sort().join();
  return (
    [L, D, H, I].every((n) => n === 1) &&
    names === "bias_hh,bias_ih,weight_hh,weight_ih" &&
    JSON.stringify(cell) ===
      JSON.stringify({ ...spanCell, ...Object.fromEntries(Object.keys(cell).map((name) => [name, spanCell[name]])) })
  );
}

function useLearned() {
  const learned = viewsOf(learner.p.slice());
  edits.set("learned", {
    label: `weights of training step ${learner.t}`,
    apply: (m) => {
      for (const [name, values] of Object.entries(learned)) m.layers[0][name].set(values);
    },
  });
  changed();
  say("The unit above now has the learned weights.");
}

function listenToLearning() {
  find("#learn-run").addEventListener("click", () => {
    learner.isRunning = !learner.isRunning;
    if (learner.isRunning) requestAnimationFrame(runLearner);
    drawLearning();
  });
  find("#learn-step").addEventListener("click", () => {
    learner.isRunning = false;
    learn();
    drawLearning();
  });
  find("#learn-draw").addEventListener("click", () => {
    learner.isRunning = false;
    startLearner(learner.draw + 1);
    drawLearning();
  });
  find("#learn-use").hidden = !isSameKind();
  find("#learn-use").addEventListener("click", useLearned);
}
