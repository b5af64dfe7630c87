// Distances on the picture, in millimetres where the recording knows its pixel size, and in pixels where it does not.

import { say } from "./announce.js";
import { hold, whenItMoves } from "./cine.js";
import { $, clamp, make, setText } from "./dom.js";
import { follow, stage, toBox, toPicture } from "./stage.js";

const AT_MOST = 4, NAMES = "ABCD", SVG = "http://www.w3.org/2000/svg";
let pairs = []; // {name, ends: [{x, y}, {x, y}]} in fractions of the picture
let current = null, shape = "";

const inside = ({ x, y }) => ({ x: clamp(x, 0, 1), y: clamp(y, 0, 1) });

function measure({ ends: [a, b] }) {
  const [height, width] = stage.shape, [row, column] = stage.spacing || [1, 1];
  const length = Math.hypot((a.x - b.x) * width * column, (a.y - b.y) * height * row);
  return stage.spacing ? `${length.toFixed(length < 10 ? 2 : 1)} mm` : `${length.toFixed(1)} px (pixel size unknown)`;
}

function add(ends) {
  if (pairs.length === AT_MOST) pairs.shift();
  const name = [...NAMES].find((letter) => pairs.every((one) => one.name !== letter));
  current = { name, ends };
  pairs.push(current);
  rebuild();
}

/** A drag of the pointer that starts nowhere special draws a new pair; one that starts on an end moves it. */
const drawing = {
  start(point) { add([inside(toPicture(point)), inside(toPicture(point))]); },
  move(point) { current.ends[1] = inside(toPicture(point)); render(); },
  end() {
    const { ends: [a, b] } = current;
    if (Math.hypot(a.x - b.x, a.y - b.y) < 0.005) { pairs.pop(); rebuild(); } else said();
  },
};

function dragging(handle) {
  current = pairs.find((one) => one.name === handle.dataset.name);
  const end = Number(handle.dataset.end);
  handle.focus({ preventScroll: true });
  return { start() {}, move(point) { current.ends[end] = inside(toPicture(point)); render(); }, end: said };
}

const said = () => say(`Caliper ${current.name}: ${measure(current)}`);

export const calipers = { on: false, drawing, dragging };

/**
 * A distance is that of one picture: calipers freeze a moving one, and go when it moves again.
 * byKey: a first pair is laid in the middle, for the arrow keys to move.
 */
export function toggleCalipers(byKey = true) {
  if (!stage.shape) return say("There is no picture to measure yet");
  turn(!calipers.on);
  if (!calipers.on) return say("Calipers off");
  hold();
  say("Calipers on the frozen picture: drag on the picture, or move the two ends with the arrow keys");
  if (byKey && !pairs.length) {
    add([toPicture({ x: 0.35, y: 0.5 }), toPicture({ x: 0.65, y: 0.5 })].map(inside));
    $("handles").querySelector(".handle").focus({ preventScroll: true });
  }
}

function turn(on) {
  calipers.on = on;
  $("calipers").setAttribute("aria-pressed", on);
  document.body.toggleAttribute("data-calipers", on);
}

export function clearCalipers() {
  pairs = [];
  rebuild();
}

function rebuild() {
  $("clear").hidden = !pairs.length;
  $("lines").replaceChildren(...pairs.flatMap(() => ["shade", "bright"].map((kind) => {
    const line = document.createElementNS(SVG, "line");
    line.setAttribute("class", kind);
    return line;
  })));
  $("handles").replaceChildren(...pairs.flatMap(({ name }) => [0, 1].map((end) => makeHandle(name, end)).concat(
    make("span", { class: "measure", "aria-hidden": "true" }))));
  $("measures").replaceChildren(...pairs.map(() => make("li")));
  render();
}

function makeHandle(name, end) {
  const handle = make("button", { type: "button", class: "handle", "data-name": name, "data-end": end });
  handle.addEventListener("keydown", (event) => {
    const far = event.shiftKey ? 10 : 1;
    const step = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] }[event.key];
    if (!step) return;
    current = pairs.find((one) => one.name === name);
    const { x, y } = current.ends[end], [height, width] = stage.shape;
    current.ends[end] = inside({ x: x + step[0] / width, y: y + step[1] / height });
    render();
    said();
    event.preventDefault();
  });
  return handle;
}

function render() {
  pairs.forEach((pair, i) => {
    const [a, b] = pair.ends.map(toBox), length = measure(pair);
    for (const line of [$("lines").children[2 * i], $("lines").children[2 * i + 1]]) {
      for (const [key, value] of Object.entries({ x1: a.x, y1: a.y, x2: b.x, y2: b.y })) line.setAttribute(key, value);
    }
    const [first, second, label] = [0, 1, 2].map((k) => $("handles").children[3 * i + k]);
    [first, second].forEach((handle, end) => {
      put(handle, [a, b][end]);
      handle.setAttribute("aria-label", `Caliper ${pair.name}, end ${end + 1}, ${length}. Arrow keys move it by a pixel.`);
    });
    put(label, { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
    setText(label, `${pair.name} ${length}`);
    setText($("measures").children[i], `${pair.name}: ${length}`);
  });
}

/** Draws the pairs over a picture of that size in pixels, for a snapshot. */
export function drawCalipers(g, left, { width, height }) {
  g.font = "600 14px system-ui, sans-serif";
  for (const pair of pairs) {
    const [a, b] = pair.ends.map(({ x, y }) => ({ x: left + x * width, y: y * height }));
    g.beginPath();
    g.moveTo(a.x, a.y);
    g.lineTo(b.x, b.y);
    for (const [colour, thick] of [["rgb(0 0 0 / 60%)", 4], ["#ffe066", 1.5]]) Object.assign(g, { strokeStyle: colour, lineWidth: thick }).stroke();
    g.fillStyle = "#ffe066";
    g.fillText(`${pair.name} ${measure(pair)}`, (a.x + b.x) / 2 + 6, (a.y + b.y) / 2 + 18);
  }
}

function put({ style }, { x, y }) {
  style.left = `${100 * x}%`;
  style.top = `${100 * y}%`;
}

follow(() => {
  if (shape !== String(stage.shape) && pairs.length) clearCalipers(); // they lay on another picture
  shape = String(stage.shape);
  render();
});
whenItMoves(() => {
  turn(false);
  clearCalipers();
});
$("calipers").addEventListener("click", (event) => toggleCalipers(event.detail === 0)); // 0: by keyboard
$("clear").addEventListener("click", () => { clearCalipers(); $("calipers").focus(); });
