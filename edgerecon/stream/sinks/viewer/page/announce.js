// Tells a screen reader what changed, at a calm rate: at most one sentence in three seconds, and of several the newest.

import { $ } from "./dom.js";

const PAUSE_MS = 3000;
let waiting = null, quietUntil = 0;

export function say(text) {
  const now = performance.now();
  if (waiting !== null || now < quietUntil) {
    if (waiting === null) setTimeout(() => { const last = waiting; waiting = null; utter(last); }, quietUntil - now);
    waiting = text;
  } else utter(text);
}

function utter(text) {
  quietUntil = performance.now() + PAUSE_MS;
  $("announcer").textContent = text;
}
