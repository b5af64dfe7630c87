// The depth ruler: centimetres or millimetres from the upper edge of the picture, where the size of a pixel is known.

import { $, make } from "./dom.js";
import { follow, stage } from "./stage.js";

const STEPS_MM = [100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1];
const FEWEST_LABELS = 4;
let drawn = "";

follow(() => {
  const { shape, spacing, view } = stage;
  $("ruler").hidden = !shape || !spacing;
  if ($("ruler").hidden) return;
  const depth = shape[0] * spacing[0], from = (-view.y / view.scale) * depth, to = from + depth / view.scale;
  const state = `${depth} ${from} ${to}`;
  if (state === drawn) return;
  drawn = state;
  const step = STEPS_MM.find((one) => one * FEWEST_LABELS <= to - from) ?? STEPS_MM[STEPS_MM.length - 1];
  const minor = step / 5, ticks = [], unit = step >= 10 ? "cm" : "mm";
  for (let k = Math.ceil(from / minor); k * minor < to; k++) ticks.push(tick(k, k * minor, (k * minor - from) / (to - from), unit));
  $("ruler").replaceChildren(make("b", {}, unit), ...ticks);
});

function tick(k, mm, at, unit) {
  const long = k % 5 === 0, element = make("i", long ? { class: "long" } : {});
  element.style.top = `${100 * at}%`;
  if (long && at > 0.03 && at < 0.97) element.append(make("span", {}, String(Number((unit === "cm" ? mm / 10 : mm).toFixed(1)))));
  return element;
}
