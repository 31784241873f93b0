/* Where a number comes from: its formula in symbols and in numbers, or the products that it is the sum of.

   A line is a list of strings and addresses; a sum is a list of {weight, value} or {weight} alone, whose products add
   up. Everything that is an address can be asked in its turn. */

function explain(a) {
  const source = resolve(a),
    { cell, H, R } = page.model,
    w = weights(),
    { t, k, name } = source;
  const of = (other) => ({ name: other, t, k });
  const held = page.model.held.get(`${layerIndex()}/${view.sequence}/${t}`)?.[name]?.has(k);
  if (held) return { note: "You hold this number at this value; its formula is set aside." };
  if (PARAMETERS.test(name))
    return {
      note: `One of the ${weights()[name].length} numbers of ${name}${page.suffixes[layerIndex()]}: learned in training, the same at every step.`,
    };
  if (name === "h_0" || name === "c_0") return { note: "The state before the first step." };
  if (name === "x") return explainInput(source);
  const gate = GATES.indexOf(name);
  if (gate >= 0) {
    if (name === "f" && cell.coupled_gates)
      return { line: ["1 −", of("i")], note: "Coupled gates: what is not written is kept." };
    const kind = name === "g" ? cell.activation : cell.recurrent_activation;
    return { line: [`${describeActivation(kind)}(`, of(`pre_${name}`), ")"] };
  }
  if (name.startsWith("pre_")) return explainSum(source, GATES.indexOf(name.slice(4)));
  const previous = { name: "c_prev", t, k };
  switch (name) {
    case "c":
      return { line: [of("f"), "×", previous, "+", of("i"), "×", of("g")], note: clipNote(cell.cell_clip) };
    case "kept":
      return { line: [of("f"), "×", previous] };
    case "added":
      return { line: [of("i"), "×", of("g")] };
    case "tanh_c":
      return { line: [`${describeActivation(cell.cell_activation)}(`, of(w.norm_c_weight ? "n_c" : "c"), ")"] };
    case "m":
      return { line: [of("o"), "×", of("tanh_c")] };
    case "n_c":
      return explainNorm(
        stepAt(t).c,
        of("c"),
        { name: "norm_c_weight", k },
        w.norm_c_bias && { name: "norm_c_bias", k },
      );
    case "n_x":
    case "n_h": {
      const side = name === "n_x" ? "ih" : "hh",
        sum = { name: `a_${name[2]}`, t, k };
      return explainNorm(stepAt(t)[sum.name], sum, { name: `norm_${side}_weight`, k });
    }
    case "a_x":
      return { sum: products("weight_ih", k, inputSize(), (j) => ({ name: "x", t, k: j })) };
    case "a_h":
      return { sum: products("weight_hh", k, R, (j) => ({ name: "h_prev", t, k: j })) };
    case "h":
      if (w.weight_hr) return { sum: products("weight_hr", k, H, (j) => ({ name: "m", t, k: j })) };
      return { line: [of("o"), "×", of("tanh_c")] };
  }
  return { note: "" };
}

const clipNote = (bound) => (bound ? `Clipped to ±${bound}.` : undefined);
const describeActivation = ([name, ...parameters]) => (parameters.length ? `${name}[${parameters.join(", ")}] ` : name);

const products = (name, r, n, value) =>
  Array.from({ length: n }, (_, j) => ({ weight: { name, k: r * n + j }, value: value(j) }));

/* The pre-activation of a gate: input, bias, h_prev and, with peepholes, c. */
function explainSum({ t, k }, gate) {
  const { H, R, cell } = page.model,
    w = weights(),
    r = gate * H + k,
    sum = [];
  if (w.norm_ih_weight) sum.push({ weight: { name: "n_x", t, k: r } });
  else sum.push(...products("weight_ih", r, inputSize(), (j) => ({ name: "x", t, k: j })));
  if (w.norm_hh_weight) sum.push({ weight: { name: "n_h", t, k: r } });
  else sum.push(...products("weight_hh", r, R, (j) => ({ name: "h_prev", t, k: j })));
  if (w.bias_ih) sum.push({ weight: { name: "bias_ih", k: r } });
  if (w.bias_hh) sum.push({ weight: { name: "bias_hh", k: r } });
  const p = { 0: 0, 1: 1, 3: 2 }[gate];
  if (w.weight_peephole && p !== undefined) {
    const seen = gate === 3 ? { name: "c", t, k } : { name: "c_prev", t, k };
    sum.push({ weight: { name: "weight_peephole", k: p * H + k }, value: seen });
  }
  return { sum, note: clipNote(cell.gate_clip) };
}

function explainNorm(values, a, weight, bias) {
  const { mean: m, deviation } = standardize(values);
  const line = ["(", a, `− ${format(m)}) ÷ ${format(deviation)} ×`, weight];
  return {
    line: bias ? [...line, "+", bias] : line,
    note: `Layer normalization: mean and deviation are those of ${values.length} numbers.`,
  };
}

function explainInput({ t, k }) {
  if (view.layer === 0) return { note: "Given: a number of the input sequence." };
  const { R } = page.model,
    direction = Math.floor(k / R);
  return {
    note: `h of unit ${(k % R) + 1} in layer ${view.layer}, the layer below.`,
    go: { layer: view.layer - 1, direction, step: t, unit: k % R },
  };
}
