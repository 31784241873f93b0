/* Changes made by a reader: each a label and a function that applies it to a copy of the model, removed one by one. */

const edits = new Map();
const EDITABLE = new Set(["c", "h", "i", "f", "g", "o", "h_0", "c_0"]);

function isEditable(a) {
  const { name } = resolve(a);
  return PARAMETERS.test(name) || EDITABLE.has(name) || (name === "x" && view.layer === 0);
}

function editKey(a) {
  const { name, t, k } = resolve(a),
    index = name === "x" ? "" : layerIndex();
  return [index, PARAMETERS.test(name) ? "" : view.sequence, name, t ?? "", k].join("/");
}

function setNumber(a, value) {
  const { name, t, k } = resolve(a),
    index = layerIndex(),
    b = view.sequence;
  const apply = (m) => {
    if (PARAMETERS.test(name)) m.layers[index][name][k] = value;
    else if (name === "x") m.x[b][t][k] = value;
    else if (name === "h_0" || name === "c_0") m[name][index][b][k] = value;
    else hold(m, index, b, t, name, k, value);
  };
  edits.set(editKey(a), { label: `${symbolOf(resolve(a)).replace("_", "")} = ${format(value)}`, apply });
  changed();
}

function undo(key) {
  if (key === undefined) edits.clear();
  else edits.delete(key);
  changed();
}

/* The forget gates of every unit of this layer, at the step that is shown and, with onwards, at all after it. */
function holdForget(value, onwards) {
  const index = layerIndex(),
    b = view.sequence,
    { T, H } = page.model,
    from = view.step,
    back = isReverse();
  const key = [index, b, "forget", onwards ? "on" : from, value].join("/");
  if (edits.has(key)) return undo(key);
  const steps = onwards ? [...Array(T).keys()].filter((t) => (back ? t <= from : t >= from)) : [from];
  const apply = (m) => {
    for (const t of steps) for (let k = 0; k < H; k++) hold(m, index, b, t, "f", k, value);
  };
  const where = onwards ? `from ${stepName(from)} on` : `at ${stepName(from)}`;
  edits.set(key, { label: value ? `Forget gate held open ${where}` : `Everything forgotten ${where}`, apply });
  changed();
}

/* Whether a reader has set this number, or it follows from what was set. */
const isSet = (a) => edits.has(editKey(a));

/* Whether a number is no longer what the page was written with. */
const isChanged = (a) => edits.size > 0 && Math.abs(valueOf(a) - originalOf(a)) > 1e-12;

const originalRuns = [];

let isScheduled = false;
function changed() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    recompute();
    draw();
  });
}

function recompute() {
  page.model = edits.size ? copyModel(page.original) : page.original;
  for (const { apply } of edits.values()) apply(page.model);
  originalRuns[view.sequence] ??= runModel(page.original, view.sequence);
  page.originalRun = originalRuns[view.sequence];
  page.run = edits.size ? runModel(page.model, view.sequence) : page.originalRun;
}
