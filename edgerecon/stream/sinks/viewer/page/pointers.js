// Mouse, pen and fingers on the picture: one goes to the tool that is meant, two zoom and move.

import { calipers } from "./calipers.js";
import { divider } from "./divider.js";
import { $ } from "./dom.js";
import { pan, stage, zoomTo } from "./stage.js";
import { panning } from "./zoom.js";

const panes = [$("twin"), $("picture")], down = new Map();
let tool = null;

const place = (event) => {
  const { left, top, width, height } = event.currentTarget.getBoundingClientRect();
  return { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
};

function meant(target) {
  if (target.closest(".handle")) return calipers.dragging(target.closest(".handle"));
  if (target.closest("#divider")) return divider;
  if (calipers.on) return calipers.drawing;
  return stage.view.scale > 1 || $("divider").hidden ? panning : divider;
}

const pair = () => {
  const [a, b] = down.values(), { width, height } = $("picture").getBoundingClientRect();
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot((a.x - b.x) * width, (a.y - b.y) * height) };
};

function press(event) {
  if (event.button !== 0 || down.size === 2) return;
  event.currentTarget.setPointerCapture(event.pointerId);
  down.set(event.pointerId, place(event));
  if (down.size === 2) {
    tool?.end();
    tool = null;
  } else {
    tool = meant(event.target);
    if (tool === divider) $("divider").focus({ preventScroll: true });
    tool.start(place(event));
  }
  event.preventDefault();
}

function move(event) {
  if (!down.has(event.pointerId)) return;
  const was = down.size === 2 ? pair() : null;
  down.set(event.pointerId, place(event));
  if (was) {
    const is = pair();
    zoomTo(stage.view.scale * (is.apart / Math.max(1, was.apart)), was);
    pan(is.x - was.x, is.y - was.y);
  } else tool?.move(place(event));
}

function up(event) {
  if (!down.delete(event.pointerId) || down.size) return;
  tool?.end();
  tool = null;
}

for (const pane of panes) {
  pane.addEventListener("pointerdown", press);
  pane.addEventListener("pointermove", move);
  pane.addEventListener("pointerup", up);
  pane.addEventListener("pointercancel", up);
}
