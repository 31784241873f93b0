/* Numbers to click and to drag. An element with data-address is one: a click asks where it comes from, a drag or the
   arrow keys change it. One set of listeners serves all, so that redrawing never interrupts a drag. */

const STEP = 0.01;

function numberAttributes(a, extra = {}) {
  const value = valueOf(a),
    can = isEditable(a),
    key = `${extra.place ?? ""}${editKey(a)}`;
  const hint = can ? "Drag or arrow keys change it, Enter explains it." : "Enter explains it.";
  return {
    "data-address": JSON.stringify(a),
    "data-key": key,
    tabindex: 0,
    role: can ? "spinbutton" : "button",
    "aria-valuenow": can ? Number(value.toPrecision(6)) : undefined,
    "aria-valuetext": can ? format(value) : undefined,
    "aria-label":
      can && !extra.shown ? `${wordsOf(a)}. ${hint}` : `${extra.shown ?? format(value)}: ${wordsOf(a)}. ${hint}`,
    class: ["number", can && "free", isChanged(a) && "changed", isSet(a) && "set", isAsked(a) && "asked", extra.class]
      .filter(Boolean)
      .join(" "),
  };
}

const isAsked = (a) => asked !== null && JSON.stringify(resolve(a)) === JSON.stringify(asked);

function number(a, place = "") {
  const differs = isChanged(a) && format(originalOf(a)) !== format(valueOf(a));
  const was =
    differs && (isSet(a) || place === "asked/")
      ? make("small", { class: "was" }, ` was ${format(originalOf(a))}`)
      : undefined;
  return make("span", { ...numberAttributes(a, { place }), title: wordsOf(a) }, format(valueOf(a)), was);
}

const addressOf = (node) => {
  const holder = node.closest?.("[data-address]");
  return holder && { a: JSON.parse(holder.dataset.address), holder };
};

function listenToNumbers() {
  document.addEventListener("pointerdown", (event) => {
    const found = addressOf(event.target);
    if (!found || event.button !== 0) return;
    const { a, holder } = found,
      before = valueOf(a),
      isVertical = holder.dataset.drag === "y";
    const perPixel = Number(holder.dataset.perpixel) || STEP * Math.max(1, Math.abs(before) / 5);
    let isDragged = false;
    const move = (e) => {
      const distance = isVertical ? event.clientY - e.clientY : e.clientX - event.clientX;
      if (!isDragged && Math.abs(distance) < 4) return;
      isDragged = true;
      if (!isEditable(a)) return;
      document.body.classList.add(isVertical ? "dragging-y" : "dragging-x");
      const factor = e.shiftKey ? 10 : e.altKey ? 0.1 : 1;
      setNumber(a, Number((before + distance * perPixel * factor).toFixed(4)));
    };
    const stop = () => {
      listening.abort();
      document.body.classList.remove("dragging-x", "dragging-y");
    };
    const end = () => {
      stop();
      if (isDragged) say(`${wordsOf(a)} is now ${format(valueOf(a))}`);
      else ask(a);
    };
    const listening = new AbortController(),
      { signal } = listening;
    window.addEventListener("pointermove", move, { signal });
    window.addEventListener("pointerup", end, { signal });
    window.addEventListener("pointercancel", stop, { signal }); // a finger that scrolls after all
  });
  document.addEventListener("keydown", (event) => {
    const found = addressOf(event.target);
    if (!found) return;
    const { a } = found,
      factor = event.shiftKey ? 10 : event.altKey ? 0.1 : 1;
    const sign = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[event.key];
    if (event.key === "Enter" || event.key === " ") ask(a);
    else if (event.key === "Delete" || event.key === "Backspace") undo(editKey(a));
    else if (sign && isEditable(a)) {
      setNumber(a, Number((valueOf(a) + sign * factor * STEP * 5).toFixed(4)));
      say(`${wordsOf(a)}: ${format(valueOf(a) + sign * factor * STEP * 5)}`);
    } else return;
    event.preventDefault();
  });
}
