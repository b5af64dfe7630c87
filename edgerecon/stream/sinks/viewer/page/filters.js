// The numbers of the stream's filters: of the stream itself, for everybody who looks and for what is recorded.

import { $, make, setText } from "./dom.js";

const PATIENCE_MS = 1000;
const shown = new Map();
let feed = null;

/** One slider for each number that can be set; none where there is no filter. */
export function showFilters(sliders = [], to = null) {
  feed = to;
  shown.clear();
  $("filters").replaceChildren(...sliders.map(line));
  $("filters-section").hidden = !sliders.length;
}

/** What the stream says of them; a slider that was just moved stays where it is. */
export function followFilters(values = {}) {
  for (const [key, value] of Object.entries(values)) {
    const one = shown.get(key);
    if (one && performance.now() - one.movedAt > PATIENCE_MS) one.show(value);
  }
}

function line({ key, filter, name, value, low, high, whole }) {
  const id = `filter-${shown.size}`, row = make("p", { class: "slider" });
  const label = make("label", { for: id }, `${filter} ${name}`), output = make("output", { for: id });
  const input = make("input", { id, type: "range", min: low, max: high, step: whole ? 1 : (high - low) / 500 });
  const one = { movedAt: -Infinity, show(to) {
    input.value = to;
    setText(output, String(Number(Number(to).toPrecision(3))));
  } };
  input.addEventListener("input", () => {
    one.movedAt = performance.now();
    setText(output, String(Number(Number(input.value).toPrecision(3))));
    feed?.tell(`filter ${key} ${input.value}`);
  });
  shown.set(key, one);
  one.show(value);
  row.append(label, input, output);
  return row;
}
