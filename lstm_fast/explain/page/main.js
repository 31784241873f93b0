/* Reads the data, reports whether the results agree with it, and keeps all views on one step of one unit. */

function choose(next) {
  const { L, D, H, T, B } = page.model,
    moved = next.sequence !== undefined && next.sequence !== view.sequence;
  const { focus, ...place } = next;
  Object.assign(view, place);
  view.layer = clamp(view.layer, 0, L - 1);
  view.direction = clamp(view.direction, 0, D - 1);
  view.sequence = clamp(view.sequence, 0, B - 1);
  view.step = clamp(view.step, 0, T - 1);
  view.unit = clamp(view.unit, 0, H - 1);
  view.feature = clamp(view.feature, 0, inputSize() - 1);
  trail.length = 0;
  asked = focus ?? { name: asked && "ifgoc".includes(asked.name) ? asked.name : "c", t: view.step, k: view.unit };
  if (moved) recompute();
  draw();
}

function draw() {
  drawControls();
  drawMaps();
  drawDiagram();
  drawSources();
  drawCharts();
  drawHands();
}

function drawAll() {
  draw();
  drawSpan();
  drawLearning();
}

function drawControls() {
  const { L, D, H, T, B } = page.model;
  find("#step").value = view.step + 1;
  find("#unit").value = view.unit + 1;
  find("#step-value").textContent = `${view.step + 1} of ${T}`;
  find("#unit-value").textContent = `${view.unit + 1} of ${H}`;
  for (const [id, n] of [
    ["sequence", B],
    ["layer", L],
    ["direction", D],
    ["feature", inputSize()],
  ]) {
    const select = find(`#${id}`);
    select.value = view[id];
    select.parentElement.hidden = n < 2;
    if (id === "feature" && select.dataset.layer !== String(view.layer)) fillFeatures();
  }
  find("#unit").parentElement.hidden = H < 2;
  find("#step-name").textContent = `${stepName(view.step)}${H > 1 ? `, ${unitName(view.unit)}` : ""}`;
}

function fillOptions(id, n, name) {
  find(`#${id}`).replaceChildren(...Array.from({ length: n }, (_, k) => make("option", { value: k }, name(k))));
  find(`#${id}`).value = view[id];
}

function fillFeatures() {
  fillOptions("feature", inputSize(), (k) => featureName(k) ?? `${k + 1}`);
  find("#feature").dataset.layer = view.layer;
}

function buildControls() {
  const { L, D, H, T, B } = page.model;
  fillOptions("sequence", B, (k) => page.names[k]);
  fillOptions("layer", L, (k) => `${k + 1}`);
  fillOptions("direction", D, (k) => ["forward", "reverse"][k]);
  fillFeatures();
  find("#step").max = T;
  find("#unit").max = H;
  for (const id of ["sequence", "layer", "direction", "feature"])
    find(`#${id}`).addEventListener("change", (event) => choose({ [id]: Number(event.target.value) }));
  for (const id of ["step", "unit"])
    find(`#${id}`).addEventListener("input", (event) => {
      choose({ [id]: Number(event.target.value) - 1 });
      say(`${stepName(view.step)}, ${unitName(view.unit)}: c = ${format(stepAt(view.step).c[view.unit])}`);
    });
  find("#far details").addEventListener("toggle", drawTable);
  find("#hold-open").addEventListener("click", () => holdForget(1, true));
  find("#forget-all").addEventListener("click", () => holdForget(0, false));
  find("#undo-all").addEventListener("click", () => undo());
  find("#theme").addEventListener("click", () => {
    const isDark = ink("scheme") === "dark";
    document.documentElement.dataset.theme = isDark ? "light" : "dark";
    draw();
  });
}

function sayVerified(result, written) {
  const place = find("#verified");
  place.classList.add(result.isRight ? "right" : "wrong");
  place.textContent = result.isRight
    ? `✓ Checked: this page computed ${result.compared.toLocaleString("en")} numbers and they agree with those of lstm_fast ${written.version} to ${format(result.largest)}.`
    : `✗ Do not trust this page: its numbers differ from those of lstm_fast ${written.version} by ${format(result.largest)}.`;
  if (written.rounded) place.append(" Parameters and inputs are rounded to float32.");
}

function start() {
  const written = JSON.parse(find("#written").textContent);
  Object.assign(page, { names: written.names, features: written.features, suffixes: written.suffixes, learning: written.learning });
  page.original = loadModel(written);
  page.model = page.original;
  page.verified = verify(page.original, written);
  sayVerified(page.verified, written);
  find("#label").textContent = written.label;
  view.step = page.model.T - 1;
  recompute();
  buildControls();
  buildMaps();
  listenToNumbers();
  listenToSpan();
  startLearner(0);
  listenToLearning();
  drawAll();
  new ResizeObserver(() => requestAnimationFrame(drawAll)).observe(find("#maps"));
  for (const media of ["(prefers-color-scheme: dark)", "print"]) matchMedia(media).addEventListener("change", drawAll);
  addEventListener("beforeprint", () => {
    find("#far details").open = true;
    drawTable();
  });
  window.lstmFast = { page, view, edits, learner, valueOf, originalOf, setNumber, choose, ask, explain, learn };
}

start();
