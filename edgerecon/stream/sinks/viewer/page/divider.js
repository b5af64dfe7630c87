// The divider between before and after: by pointer and by keyboard.

import { $ } from "./dom.js";
import { follow, setSplit, stage } from "./stage.js";

export const divider = { start: ({ x }) => setSplit(x), move: ({ x }) => setSplit(x), end() {} };

follow(() => {
  const percent = Math.round(stage.split * 100);
  $("divider").style.left = `${stage.split * 100}%`;
  $("divider").setAttribute("aria-valuenow", percent);
  $("divider").setAttribute("aria-valuetext", `${percent} % before, ${100 - percent} % after`);
});

$("divider").addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 0.1 : 0.02, { split } = stage;
  const to = { ArrowLeft: split - step, ArrowDown: split - step, ArrowRight: split + step, ArrowUp: split + step,
    PageDown: split - 0.1, PageUp: split + 0.1, Home: 0, End: 1 }[event.key];
  if (to === undefined) return;
  setSplit(to);
  event.preventDefault();
});
