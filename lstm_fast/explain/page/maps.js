/* Heat maps of the shown layer over time: x, then i, f, g, o, c, h. Steps go right, units go down.

   Lightness shows the size and hatching the sign, so that the maps can be read in gray. */

const MAPS = [
  ["f", "forget gate", "how much of c is kept"],
  ["i", "input gate", "how much is written"],
  ["g", "candidate", "what may be written"],
  ["o", "output gate", "how much is shown"],
  ["c", "long-term memory", "f × c + i × g"],
  ["h", "short-term memory", "o × tanh(c)"],
];

const mapSize = (name) => (name === "h" ? page.model.R : page.model.H);
const rgb = (color) => [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16));

/* The largest size of a number in the original run: colors keep their meaning while a reader drags. */
const scales = new Map();

function scaleOf(name) {
  if ("ifo".includes(name) && page.model.cell.recurrent_activation[0].endsWith("sigmoid")) return 1;
  const key = `${layerIndex()}/${view.sequence}/${name}`;
  if (!scales.has(key)) {
    const sizes = page.originalRun[layerIndex()].flatMap((s) => [...s[name]].map(Math.abs));
    scales.set(key, Math.max(1e-12, ...sizes));
  }
  return scales.get(key);
}

/* From the color of zero over a middle one to that of the scale's end. */
function colorOf(v, scale, colors) {
  const part = 2 * Math.min(1, Math.abs(v) / scale),
    stops = v < 0 ? colors.negative : colors.positive;
  const [from, to] = part < 1 ? [colors.zero, stops[0]] : stops,
    rest = part < 1 ? part : part - 1;
  return from.map((p, k) => Math.round(p + rest * (to[k] - p)));
}

/* The colors of 511 values from -scale to scale, as pixels. */
const palettes = new Map();

function palette(colors) {
  const key = JSON.stringify(colors);
  if (palettes.has(key)) return palettes.get(key);
  const pixels = new Uint8ClampedArray(4 * 511);
  for (let k = 0; k < 511; k++) pixels.set([...colorOf(k - 255, 255, colors), 255], 4 * k);
  palettes.set(key, new Uint32Array(pixels.buffer));
  return palettes.get(key);
}

function hatch(context, color) {
  const tile = new OffscreenCanvas(6, 6),
    pen = tile.getContext("2d");
  pen.strokeStyle = color;
  pen.lineWidth = 1;
  pen.beginPath();
  for (const shift of [-6, 0, 6]) (pen.moveTo(shift - 1, 7), pen.lineTo(shift + 7, -1));
  pen.stroke();
  return context.createPattern(tile, "repeat");
}

function paint(canvas, name) {
  const { T } = page.model,
    n = mapSize(name),
    steps = page.run[layerIndex()],
    scale = scaleOf(name);
  const width = canvas.clientWidth,
    height = canvas.clientHeight,
    dots = window.devicePixelRatio || 1;
  if (!width) return;
  canvas.width = Math.round(width * dots);
  canvas.height = Math.round(height * dots);
  const stops = (name) => [rgb(ink(`${name}-half`)), rgb(ink(name))];
  const colors = { zero: rgb(ink("zero")), positive: stops("positive"), negative: stops("negative") };
  const cells = new ImageData(T, n),
    below = new ImageData(T, n),
    pixels = palette(colors);
  const [color, mask] = [cells, below].map((image) => new Uint32Array(image.data.buffer));
  for (let t = 0; t < T; t++)
    for (let k = 0; k < n; k++) {
      const v = steps[t][name][k];
      color[k * T + t] = pixels[255 + Math.round(255 * clamp(v / scale, -1, 1))];
      if (v < 0) mask[k * T + t] = 0xff000000;
    }
  const pen = canvas.getContext("2d");
  enlarge(pen, cells, canvas.width, canvas.height);
  const lines = new OffscreenCanvas(canvas.width, canvas.height),
    marker = lines.getContext("2d");
  enlarge(marker, below, canvas.width, canvas.height);
  marker.globalCompositeOperation = "source-in";
  marker.fillStyle = hatch(marker, ink("hatch"));
  marker.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(lines, 0, 0);
  pen.setTransform(dots, 0, 0, dots, 0, 0);
  const w = width / T,
    h = height / n;
  if (w > 42 && h > 17) write(pen, name, steps, scale, colors, w, h);
  if (w > 6 && h > 6) {
    pen.fillStyle = ink("card");
    for (let t = 1; t < T; t++) pen.fillRect(t * w - 0.5, 0, 1, height);
    for (let k = 1; k < n; k++) pen.fillRect(0, k * h - 0.5, width, 1);
  }
  mark(pen, view.step * w, name === "h" && view.unit >= n ? -1 : view.unit * h, w, h, width, height);
}

/* As in WCAG: below 0.18, white letters have more contrast than black ones. */
function luminance(...channels) {
  const [r, g, b] = channels.map((v) => (v <= 10 ? v / 3295 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function enlarge(pen, image, width, height) {
  const small = new OffscreenCanvas(image.width, image.height);
  small.getContext("2d").putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small, 0, 0, width, height);
}

function write(pen, name, steps, scale, colors, w, h) {
  pen.font = `${Math.min(14, h * 0.55)}px ${ink("sans")}`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  steps.forEach((s, t) =>
    s[name].forEach((v, k) => {
      const [r, g, b] = colorOf(v, scale, colors),
        text = format(v, w > 60 ? 4 : 3);
      const isDark = luminance(r, g, b) < 0.18,
        x = (t + 0.5) * w,
        y = (k + 0.5) * h;
      if (v < 0) {
        pen.fillStyle = `rgb(${r} ${g} ${b})`;
        pen.fillRect(x - pen.measureText(text).width / 2 - 3, y - h * 0.32, pen.measureText(text).width + 6, h * 0.64);
      }
      pen.fillStyle = isDark ? "#ffffff" : "#14171b";
      pen.fillText(text, x, y);
    }),
  );
}

/* The chosen step as a column, the chosen unit as a cell in it. */
function mark(pen, x, y, w, h, width, height) {
  const outline = (left, top, wide, high, thickness) => {
    pen.lineWidth = thickness;
    pen.strokeRect(left + 1, top + 1, Math.max(2, wide - 2), Math.max(2, high - 2));
  };
  pen.strokeStyle = ink("card");
  outline(x - 1, 0, w + 2, height, 4);
  pen.strokeStyle = ink("ink");
  outline(x, 0, w, height, 1.5);
  if (y >= 0 && height > h * 1.5) outline(x - 2, y - 2, w + 4, h + 4, 2.5);
}

function buildMaps() {
  fill(
    find("#maps"),
    MAPS.map(([name, words, meaning]) => {
      const readout = make("span", { class: "readout" });
      const canvas = make("canvas", {
        id: `map-${name}`,
        tabindex: 0,
        role: "slider",
        "data-map": name,
        "aria-orientation": "horizontal",
      });
      const cellAt = (event) => {
        const edge = canvas.getBoundingClientRect(),
          n = mapSize(name);
        return {
          step: clamp(Math.floor(((event.clientX - edge.left) / edge.width) * page.model.T), 0, page.model.T - 1),
          unit: clamp(Math.floor(((event.clientY - edge.top) / edge.height) * n), 0, n - 1),
        };
      };
      canvas.addEventListener("pointermove", (event) => {
        const { step, unit } = cellAt(event),
          v = stepAt(step)[name][unit];
        readout.textContent = `${stepName(step)}${page.model.H > 1 ? `, ${unitName(unit)}` : ""}: ${format(v)}`;
      });
      canvas.addEventListener("pointerleave", () => (readout.textContent = ""));
      canvas.addEventListener("click", (event) =>
        choose({ ...cellAt(event), focus: { name, ...keyless(cellAt(event)) } }),
      );
      canvas.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (!by) return;
        event.preventDefault();
        choose({ step: view.step + by[0], unit: view.unit + by[1] });
        const { step, unit } = view;
        if (unit < mapSize(name))
          say(`${words}, ${stepName(step)}, ${unitName(unit)}: ${format(stepAt(step)[name][unit])}`);
      });
      const head = make(
        "figcaption",
        {},
        make("b", {}, make("i", {}, name), ` ${words}`),
        make("span", { class: "meaning" }, meaning),
        readout,
      );
      return make("figure", { class: "map" }, head, canvas, make("div", { class: "scale" }));
    }),
  );
}

const keyless = ({ step, unit }) => ({ t: step, k: unit });

function drawMaps() {
  for (const [name, words] of MAPS) {
    const canvas = find(`#map-${name}`),
      n = mapSize(name),
      unit = Math.min(view.unit, n - 1);
    canvas.style.height = `${clamp(n * 18, 40, 172)}px`;
    const value = stepAt(view.step)[name][unit];
    for (const [key, text] of Object.entries({
      "aria-label": `Heat map of the ${words} ${name}: ${n} units down, ${page.model.T} steps across. Arrow keys move the choice.`,
      "aria-valuemin": 1,
      "aria-valuemax": page.model.T,
      "aria-valuenow": view.step + 1,
      "aria-valuetext": `${stepName(view.step)}, ${unitName(unit)}, ${format(value)}`,
    }))
      canvas.setAttribute(key, text);
    const scale = scaleOf(name);
    canvas.nextSibling.textContent =
      scale === 1 && "ifo".includes(name)
        ? "0 closed … 1 open"
        : `−${format(scale, 3)} … ${format(scale, 3)}, hatched below 0`;
    paint(canvas, name);
  }
}
