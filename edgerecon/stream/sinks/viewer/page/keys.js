// Keyboard shortcuts, and the dialog that lists them. Single keys can be turned off (WCAG 2.1.4).

import { clearCalipers, toggleCalipers } from "./calipers.js";
import { step, toggleFreeze, togglePlay } from "./cine.js";
import { addContrast, brighten, resetDisplay, toggleDisplay } from "./display.js";
import { $, make } from "./dom.js";
import { toggleFullScreen, togglePanel } from "./screen.js";
import { saveSnapshot } from "./snapshot.js";
import { nextSplit, toggleSideBySide } from "./stage.js";
import { zoomIn, zoomOut, zoomReset } from "./zoom.js";

const inSingle = (action) => (key) => { if (document.body.dataset.view === "stream") action(key); };
const KEYS = [
  [["Space", "F"], "Freeze, and live again", inSingle(toggleFreeze)],
  [["P"], "Play or pause the frozen loop", inSingle(togglePlay)],
  [[","], "One frame back", inSingle(() => step(-1))],
  [["."], "One frame on", inSingle(() => step(1))],
  [["C"], "Calipers on a frozen picture, on or off", inSingle(() => toggleCalipers())],
  [["X"], "Clear the calipers", inSingle(clearCalipers)],
  [["+", "="], "Zoom in", inSingle(zoomIn)],
  [["-"], "Zoom out", inSingle(zoomOut)],
  [["0"], "Whole picture", inSingle(zoomReset)],
  [["B"], "Only before, only after, half and half", inSingle(nextSplit)],
  [["V"], "Before and after side by side", inSingle(toggleSideBySide)],
  [["1", "2"], "Darker, brighter (display only)", inSingle((key) => brighten(key === "1" ? -5 : 5))],
  [["3", "4"], "Less, more contrast (display only)", inSingle((key) => addContrast(key === "3" ? -10 : 10))],
  [["5"], "Brightness and contrast as they were", inSingle(resetDisplay)],
  [["D"], "Sliders of brightness and contrast", inSingle(toggleDisplay)],
  [["S"], "Snapshot, saved as PNG", inSingle(saveSnapshot)],
  [["I"], "Figures beside the picture, on or off", inSingle(togglePanel)],
  [["W"], "Whole screen, and back", inSingle(toggleFullScreen)],
  [["G"], "All streams", () => { if (!$("to-grid").hidden) location.hash = "#/"; }],
  [["?", "H"], "This help", () => $("help").showModal()],
];

$("keys").append(...KEYS.flatMap(([keys, what]) => {
  const term = make("dt");
  keys.filter((key) => key !== "=").forEach((key) => term.append(make("kbd", {}, key), " "));
  return [term, make("dd", {}, what)];
}));
$("help-button").addEventListener("click", () => $("help").showModal());

const choice = $("single-keys");
choice.checked = localStorage.getItem("single-keys") !== "off";
choice.addEventListener("change", () => localStorage.setItem("single-keys", choice.checked ? "on" : "off"));

document.addEventListener("keydown", (event) => {
  if (!choice.checked || event.ctrlKey || event.altKey || event.metaKey || $("help").open) return;
  if (event.target.matches("input")) return;
  if (event.key === " " && event.target.matches("button, a")) return; // a button's own key
  const pressed = event.key === " " ? "Space" : event.key.toUpperCase();
  const found = KEYS.find(([keys]) => keys.includes(pressed));
  if (!found) return;
  found[2](pressed);
  event.preventDefault();
});
