// Zoom by wheel, buttons and keys; panning. (Two fingers: see pointers.js.)

import { $ } from "./dom.js";
import { pan, stage, zoomTo } from "./stage.js";

export const zoomIn = () => zoomTo(stage.view.scale * 1.5);
export const zoomOut = () => zoomTo(stage.view.scale / 1.5);
export const zoomReset = () => zoomTo(1);

let held = null;
export const panning = {
  start(point) { held = point; },
  move(point) { pan(point.x - held.x, point.y - held.y); held = point; },
  end() {},
};

function wheel(event) {
  const { left, top, width, height } = event.currentTarget.getBoundingClientRect();
  zoomTo(stage.view.scale * Math.exp(-event.deltaY / 400), { x: (event.clientX - left) / width, y: (event.clientY - top) / height });
  event.preventDefault();
}

for (const pane of [$("twin"), $("picture")]) pane.addEventListener("wheel", wheel, { passive: false });

$("canvas").addEventListener("keydown", (event) => {
  const move = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
  if (!move || stage.view.scale === 1) return;
  pan(...move);
  event.preventDefault();
});

$("zoom-in").addEventListener("click", zoomIn);
$("zoom-out").addEventListener("click", zoomOut);
$("zoom-reset").addEventListener("click", zoomReset);
