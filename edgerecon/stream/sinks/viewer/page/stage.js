// The picture: before left of the divider and after right of it, or both side by side, zoomed, with its scale bar.

import { adjustment, display, whenAdjusted } from "./display.js";
import { $, clamp, setText } from "./dom.js";
import { Plate } from "./pixels.js";
import { clock } from "./time.js";

const before = new Plate(), after = new Plate();
const context = $("canvas").getContext("2d", { alpha: false }), twin = $("twin-canvas").getContext("2d", { alpha: false });
const followers = [];
let last = null;

/**
 * view: zoom and the picture's top left corner in fractions of the box. split: of the box's width; left of it is before.
 * raw: the frame could not be processed. reconstructs: a model runs, so that before and after differ. sideBySide: before has
 * a pane of its own. sequence, time: of the frame that is shown; time of its capture in ms since 1970.
 */
export const stage = { shape: null, spacing: null, split: 0.5, view: { scale: 1, x: 0, y: 0 }, raw: false, reconstructs: true,
  sideBySide: false, sequence: 0, time: NaN };

/** Calls back whenever size, zoom or divider change. */
export const follow = (callback) => followers.push(callback);

/** Fractions of the box → fractions of the picture, and back. */
export const toPicture = ({ x, y }) => ({ x: (x - stage.view.x) / stage.view.scale, y: (y - stage.view.y) / stage.view.scale });
export const toBox = ({ x, y }) => ({ x: stage.view.x + x * stage.view.scale, y: stage.view.y + y * stage.view.scale });

export function showPicture(picture) {
  const { header } = picture;
  last = picture;
  stage.sequence = header.sequence;
  stage.time = header.time_ms;
  before.show(picture.before, display.levels);
  after.show(picture.after, display.levels);
  const resized = String(stage.shape) !== String(header.shape) || String(stage.spacing) !== String(header.spacing_mm);
  stage.shape = header.shape;
  stage.spacing = header.spacing_mm;
  stage.raw = header.raw;
  document.body.toggleAttribute("data-raw", header.raw);
  $("raw-badge").hidden = !header.raw;
  const facts = [`Frame ${header.sequence}`, clock(header.time_ms), `${header.shape[1]} × ${header.shape[0]} pixels`, adjustment()];
  setText($("frame-facts"), facts.filter(Boolean).join(", "));
  if (resized) resize();
  draw();
  label();
}

/** Forgets the picture of the stream that was shown. */
export function clearPicture() {
  last = null;
  stage.shape = null;
  stage.raw = false;
  document.body.removeAttribute("data-raw");
  $("raw-badge").hidden = true;
  for (const { canvas } of [context, twin]) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  setText($("frame-facts"), "\u00a0");
  label();
}

/** Without a model there is one picture, and nothing to divide. */
export function setReconstructs(to) {
  stage.reconstructs = to;
  arrange();
}

export function toggleSideBySide() {
  stage.sideBySide = !stage.sideBySide;
  arrange();
}

/** The panes and the divider that this view has. */
function arrange() {
  const { reconstructs } = stage, both = stage.sideBySide && reconstructs;
  $("side-by-side").hidden = !reconstructs;
  $("side-by-side").setAttribute("aria-pressed", both);
  $("twin").hidden = !both;
  $("divider").hidden = both || !reconstructs;
  document.body.toggleAttribute("data-side-by-side", both);
  draw();
  label();
  changed();
}

/** The canvases that are shown, from left to right. */
export const canvases = () => (stage.sideBySide && stage.reconstructs ? [twin.canvas, context.canvas] : [context.canvas]);

/** Only before, only after, and both with the divider halfway, by turns. */
export function nextSplit() {
  if (stage.sideBySide) toggleSideBySide();
  setSplit(stage.split === 0.5 ? 1 : stage.split === 1 ? 0 : 0.5);
}

/** Says over each side what is shown there, and nothing over a side of which nothing is shown. */
function label() {
  const { shape, split, raw, reconstructs, sideBySide } = stage;
  const before = reconstructs && (sideBySide || split > 0), after = !reconstructs || sideBySide || split < 1;
  setText($("before-label"), shape && before ? "Before" : "");
  setText($("after-label"), shape && after ? (raw ? "Raw" : reconstructs ? "After" : "As captured") : "");
  $("twin").dataset.label = $("before-label").textContent;
  $("picture").dataset.label = $("after-label").textContent;
  const sides = [$("before-label").textContent, $("after-label").textContent].filter(Boolean).join(" left, ");
  $("canvas").setAttribute("aria-label", `${sides ? `${sides}${before && after ? " right" : ""}` : "No picture yet"}. Plus and minus zoom, arrow keys move the picture.`);
}

export function setSplit(to) {
  stage.split = clamp(to, 0, 1);
  draw();
  label();
  changed();
}

/** Zooms about a point of the box; without one, about its middle. */
export function zoomTo(scale, at = { x: 0.5, y: 0.5 }) {
  const held = toPicture(at);
  const to = clamp(scale, 1, 16);
  setView(to, at.x - held.x * to, at.y - held.y * to);
}

export const pan = (dx, dy) => setView(stage.view.scale, stage.view.x + dx, stage.view.y + dy);

function setView(scale, x, y) {
  stage.view = { scale, x: clamp(x, 1 - scale, 0), y: clamp(y, 1 - scale, 0) };
  for (const { canvas: { style } } of [context, twin]) {
    style.transform = scale === 1 ? "" : `translate(${100 * stage.view.x}%, ${100 * stage.view.y}%) scale(${scale})`;
    style.imageRendering = scale > 4 ? "pixelated" : "auto";
  }
  document.body.toggleAttribute("data-zoomed", scale > 1);
  setText($("zoom-reset"), `${Math.round(100 * scale)} %`);
  draw();
  changed();
}

function resize() {
  const [height, width] = stage.shape, [row, column] = stage.spacing || [1, 1];
  document.documentElement.style.setProperty("--ratio", (width * column) / (height * row));
  changed();
}

function draw() {
  if (!stage.shape) return;
  const { width, height } = after.canvas;
  paint(context, after.canvas);
  if (stage.sideBySide && stage.reconstructs) return paint(twin, before.canvas);
  const x = stage.reconstructs ? Math.round(clamp(toPicture({ x: stage.split, y: 0 }).x, 0, 1) * width) : 0;
  const across = (x / width) * before.canvas.width;
  if (x > 0) context.drawImage(before.canvas, 0, 0, across, before.canvas.height, 0, 0, x, height);
}

function paint(on, picture) {
  const { width, height } = picture;
  if (on.canvas.width !== width || on.canvas.height !== height) Object.assign(on.canvas, { width, height });
  on.drawImage(picture, 0, 0);
}

function changed() {
  showScaleBar();
  followers.forEach((callback) => callback());
}

function showScaleBar() {
  $("scale-bar").hidden = !stage.spacing || !stage.shape;
  if ($("scale-bar").hidden) return;
  const across = (stage.shape[1] * stage.spacing[1]) / stage.view.scale;
  const mm = [50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1].find((length) => length < across / 4) || 0.05;
  $("scale-bar").style.width = `${(100 * mm) / across}%`;
  setText($("scale-bar").firstElementChild, mm >= 10 ? `${mm / 10} cm` : `${mm} mm`);
}

whenAdjusted(() => { if (last) showPicture(last); });
$("side-by-side").addEventListener("click", toggleSideBySide);
