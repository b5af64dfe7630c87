// The last ten seconds, kept while the picture is live, and looked at while it is frozen.

import { say } from "./announce.js";
import { $, clamp, setText } from "./dom.js";

const KEPT_MS = 10_000, KEPT_BYTES = 192 * 2 ** 20; // whichever is less: large frames make a shorter loop
const size = (picture) => picture.before.data.length + picture.after.data.length + 1024;

const movers = [];
let frames = [], bytes = 0, at = 0, timer = null, show = () => {};
export const cine = { frozen: false };

/** Calls back whenever a picture that stood still begins to move. */
export const whenItMoves = (callback) => movers.push(callback);

/** Begins anew with another stream; ``shows`` draws a picture. */
export function startCine(shows) {
  show = shows;
  frames = [];
  bytes = 0;
  if (cine.frozen) thaw();
}

/** Keeps a live picture, and forgets the oldest ones. */
export function keep(picture) {
  frames.push(picture);
  bytes += size(picture);
  while (frames.length > 1 && (bytes > KEPT_BYTES || picture.header.at_ms - frames[0].header.at_ms > KEPT_MS)) bytes -= size(frames.shift());
}

export function toggleFreeze() {
  if (cine.frozen) thaw();
  else if (frames.length) freeze();
}

function freeze() {
  set(true);
  at = frames.length - 1;
  $("seek").max = at;
  moveTo(at);
  say(document.body.dataset.state === "live" ? "Frozen. The stream goes on." : "Frozen");
}

/** Makes the picture stand still: freezes a live one, pauses a loop. */
export function hold() {
  if (!cine.frozen) toggleFreeze();
  else stop();
}

function thaw() {
  stop();
  movers.forEach((callback) => callback());
  set(false);
  if (frames.length) show(frames[frames.length - 1]);
  say(document.body.dataset.state === "live" ? "Live again" : "Not frozen any more");
}

function set(frozen) {
  cine.frozen = frozen;
  $("freeze").setAttribute("aria-pressed", frozen);
  $("frozen-badge").hidden = $("cine").hidden = !frozen;
  document.body.toggleAttribute("data-frozen", frozen);
}

function moveTo(index) {
  at = clamp(index, 0, frames.length - 1);
  show(frames[at]);
  const back = (frames[frames.length - 1].header.at_ms - frames[at].header.at_ms) / 1000;
  $("seek").value = at;
  $("seek").setAttribute("aria-valuetext", `${back.toFixed(1)} seconds before the freeze`);
  setText($("when"), `${back ? "−" : ""}${back.toFixed(1)} s`);
}

export function step(by) {
  if (!cine.frozen) return;
  stop();
  moveTo(at + by);
}

export function togglePlay() {
  if (!cine.frozen) return;
  if (timer !== null) return stop();
  movers.forEach((callback) => callback());
  playing(true);
  say("The loop plays. It is not live.");
  if (at === frames.length - 1) moveTo(0);
  next();
}

function next() {
  const now = frames[at].header.at_ms, later = frames[at + 1]?.header.at_ms ?? now + 500; // a rest before it begins again
  timer = setTimeout(() => { moveTo(at + 1 < frames.length ? at + 1 : 0); next(); }, clamp(later - now, 5, 1000));
}

function stop() {
  clearTimeout(timer);
  timer = null;
  playing(false);
}

/** What moves is not frozen, and is not live either: it is said which. */
function playing(on) {
  $("play").setAttribute("aria-pressed", on);
  setText($("frozen-badge"), on ? "Replay, not live" : "Frozen");
  document.body.toggleAttribute("data-playing", on);
}

$("freeze").addEventListener("click", toggleFreeze);
$("play").addEventListener("click", togglePlay);
$("step-back").addEventListener("click", () => step(-1));
$("step-on").addEventListener("click", () => step(1));
$("seek").addEventListener("input", () => { stop(); moveTo(Number($("seek").value)); });
