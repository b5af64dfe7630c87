// The picture: before left of the divider and after right of it, zoomed, with its scale bar.

import { $, clamp, setText } from "./dom.js";
import { Plate } from "./pixels.js";

const before = new Plate(), after = new Plate();
const context = $("canvas").getContext("2d", { alpha: false });
const followers = [];

/**
 * view: zoom and the picture's top left corner in fractions of the box. split: of the box's width; left of it is before.
 * raw: the frame could not be processed. reconstructs: a model runs, so that before and after differ.
 */
export const stage = { shape: null, spacing: null, split: 0.5, view: { scale: 1, x: 0, y: 0 }, raw: false, reconstructs: true };

/** Calls back whenever size, zoom or divider change. */
export const follow = (callback) => followers.push(callback);

/** Fractions of the box → fractions of the picture, and back. */
export const toPicture = ({ x, y }) => ({ x: (x - stage.view.x) / stage.view.scale, y: (y - stage.view.y) / stage.view.scale });
export const toBox = ({ x, y }) => ({ x: stage.view.x + x * stage.view.scale, y: stage.view.y + y * stage.view.scale });

export function showPicture(picture) {
  const { header } = picture;
  before.show(picture.before);
  after.show(picture.after);
  const resized = String(stage.shape) !== String(header.shape) || String(stage.spacing) !== String(header.spacing_mm);
  stage.shape = header.shape;
  stage.spacing = header.spacing_mm;
  stage.raw = header.raw;
  document.body.toggleAttribute("data-raw", header.raw);
  $("raw-badge").hidden = !header.raw;
  setText($("frame-facts"), `Frame ${header.sequence}, ${header.shape[1]} × ${header.shape[0]} pixels`);
  if (resized) resize();
  draw();
  label();
}

/** Forgets the picture of the stream that was shown. */
export function clearPicture() {
  stage.shape = null;
  stage.raw = false;
  document.body.removeAttribute("data-raw");
  $("raw-badge").hidden = true;
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  setText($("frame-facts"), "\u00a0");
  label();
}

/** Without a model there is one picture, and nothing to divide. */
export function setReconstructs(to) {
  stage.reconstructs = to;
  $("divider").hidden = !to;
  draw();
  label();
}

/** Says over each side what is shown there, and nothing over a side of which nothing is shown. */
function label() {
  const { shape, split, raw, reconstructs } = stage, before = reconstructs && split > 0, after = !reconstructs || split < 1;
  setText($("before-label"), shape && before ? "Before" : "");
  setText($("after-label"), shape && after ? (raw ? "Raw" : reconstructs ? "After" : "As captured") : "");
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
  const { style } = $("canvas");
  style.transform = scale === 1 ? "" : `translate(${100 * stage.view.x}%, ${100 * stage.view.y}%) scale(${scale})`;
  style.imageRendering = scale > 4 ? "pixelated" : "auto";
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
  const { canvas } = context, { width, height } = after.canvas;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.drawImage(after.canvas, 0, 0);
  const x = stage.reconstructs ? Math.round(clamp(toPicture({ x: stage.split, y: 0 }).x, 0, 1) * width) : 0;
  const across = (x / width) * before.canvas.width;
  if (x > 0) context.drawImage(before.canvas, 0, 0, across, before.canvas.height, 0, 0, x, height);
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
