// How strongly the model acts: of the stream itself, for everybody who looks and for what is recorded.

import { $, setText } from "./dom.js";

const PATIENCE_MS = 1000;
let tell = null, asked = null, askedAt = 0;

/**
 * What the stream says of it; null or undefined where it cannot be set. Frames that were on their way when another one was
 * asked for still say the old one: they do not move the slider.
 */
export function followStrength(strength) {
  $("strength-section").hidden = strength === null || strength === undefined;
  if ($("strength-section").hidden) return;
  if (asked === strength || performance.now() - askedAt > PATIENCE_MS) asked = null;
  if (asked !== null) return;
  $("strength").value = Math.round(100 * strength);
  show();
}

/** From now on the slider speaks to this feed. */
export function steer(feed) {
  tell = (strength) => feed.tell(`strength ${strength}`);
}

function show() {
  setText($("strength-value"), `${$("strength").value} %`);
}

$("strength").addEventListener("input", () => {
  asked = Number($("strength").value) / 100;
  askedAt = performance.now();
  show();
  tell?.(asked);
});
