// How much of the screen the picture takes: the figures beside it on or off, and the whole screen.

import { say } from "./announce.js";
import { drawChart } from "./chart.js";
import { $ } from "./dom.js";

const IDLE_MS = 3000;
let timer = null, before = true;

/** Whether the figures stand beside the picture. Without them the picture is as large as the window allows. */
const shown = () => !document.body.hasAttribute("data-wide");

function setPanel(on) {
  document.body.toggleAttribute("data-wide", !on);
  $("panel").setAttribute("aria-pressed", on);
  if (on) drawChart();
  placeRuler();
  wake();
}

export function togglePanel() {
  setPanel(!shown());
  say(shown() ? "Figures shown" : "Figures hidden");
}

export async function toggleFullScreen() {
  if (!document.fullscreenEnabled) return say("This browser has no full screen");
  if (document.fullscreenElement) await document.exitFullscreen();
  else await document.documentElement.requestFullscreen();
}

document.addEventListener("fullscreenchange", () => {
  const full = Boolean(document.fullscreenElement);
  $("full-screen").setAttribute("aria-pressed", full);
  if (full) before = shown();
  setPanel(full ? false : before);
});

/** In the wide view what lies over the picture goes while nothing is touched, and comes back at once. */
function wake() {
  document.body.removeAttribute("data-idle");
  clearTimeout(timer);
  if (!shown()) timer = setTimeout(() => document.body.toggleAttribute("data-idle", covered() && !held()), IDLE_MS);
}

function covered() {
  const panes = $("panes").getBoundingClientRect(), tools = $("tools").getBoundingClientRect();
  return tools.left < panes.right && tools.top < panes.bottom && tools.bottom > panes.top;
}

/** The ruler stands at the right edge of the picture, or left of the tools where they lie over that edge. */
function placeRuler() {
  const picture = $("picture").getBoundingClientRect(), tools = $("tools").getBoundingClientRect();
  const over = covered() && tools.left > (picture.left + picture.right) / 2;
  $("ruler").style.right = `${over ? Math.max(picture.right - tools.left + 4, 0) : 0}px`;
}

const held = () => document.activeElement?.matches("#tools :focus-visible, #display *, #cine *") || !$("display").hidden;

for (const event of ["pointermove", "pointerdown", "keydown", "focusin"]) document.addEventListener(event, wake);
const sizes = new ResizeObserver(placeRuler);
for (const one of [document.documentElement, $("picture"), $("tools")]) sizes.observe(one);
$("panel").addEventListener("click", togglePanel);
$("full-screen").addEventListener("click", toggleFullScreen);
$("full-screen").hidden = !document.fullscreenEnabled;
