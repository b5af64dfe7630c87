// Brightness and contrast: of this display only. Nothing is sent back, and the pictures that are kept stay as they came.

import { $, clamp, setText } from "./dom.js";
import { IDENTITY, levels } from "./pixels.js";

const NEUTRAL = { brightness: 0, contrast: 100 };
const followers = [];

/** brightness: percent of the grey scale that is added. contrast: percent, about middle grey. levels: see pixels.js. */
export const display = { ...NEUTRAL, levels: IDENTITY };

/** Calls back whenever brightness or contrast change. */
export const whenAdjusted = (callback) => followers.push(callback);

/** What was adjusted, in words; empty where nothing was. */
export function adjustment() {
  const { brightness, contrast } = display;
  if (brightness === NEUTRAL.brightness && contrast === NEUTRAL.contrast) return "";
  return `display adjusted: brightness ${signed(brightness)} %, contrast ${contrast} %`;
}

const signed = (value) => (value > 0 ? `+${value}` : String(value).replace("-", "−"));

function adjust(to) {
  display.brightness = clamp(to.brightness ?? display.brightness, -50, 50);
  display.contrast = clamp(to.contrast ?? display.contrast, 50, 300);
  display.levels = adjustment() ? levels(display.brightness, display.contrast) : IDENTITY;
  $("brightness").value = display.brightness;
  $("contrast").value = display.contrast;
  setText($("brightness-value"), `${signed(display.brightness)} %`);
  setText($("contrast-value"), `${display.contrast} %`);
  document.body.toggleAttribute("data-adjusted", adjustment() !== "");
  followers.forEach((callback) => callback());
}

export const brighten = (by) => adjust({ brightness: display.brightness + by });
export const addContrast = (by) => adjust({ contrast: display.contrast + by });
export const resetDisplay = () => adjust(NEUTRAL);

export function toggleDisplay() {
  const shown = $("display").hidden;
  $("display").hidden = !shown;
  $("adjust").setAttribute("aria-expanded", shown);
  document.body.toggleAttribute("data-display", shown);
}

$("adjust").addEventListener("click", toggleDisplay);
$("brightness").addEventListener("input", () => adjust({ brightness: Number($("brightness").value) }));
$("contrast").addEventListener("input", () => adjust({ contrast: Number($("contrast").value) }));
$("display-reset").addEventListener("click", resetDisplay);
adjust(NEUTRAL);
