// Saves what the stage shows as a PNG: the whole picture in its own pixels, with the calipers, over a caption.

import { say } from "./announce.js";
import { drawCalipers } from "./calipers.js";
import { adjustment } from "./display.js";
import { $ } from "./dom.js";
import { canvases, stage } from "./stage.js";
import { clock } from "./time.js";

const LINE = 20, GAP = 4, NARROWEST = 420;

export function saveSnapshot() {
  if (!stage.shape) return say("There is no picture to save yet");
  draw().toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = fileName();
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 300_000); // a busy browser may begin to save it late
    say(`Saved as ${link.download}`);
  }, "image/png");
}

function fileName() {
  const name = document.title.split(" · ")[0].replace(/[^\p{L}\p{N}.-]+/gu, "-").slice(0, 60);
  return `${name}-${clock(stage.time, true).replace(/[: ]/g, "-")}-frame-${stage.sequence}.png`;
}

/** Pixels that are not square are drawn in the picture's true proportions. */
function draw() {
  const shown = canvases(), [row, column] = stage.spacing || [1, 1];
  const sizes = shown.map(({ width, height }) => ({ width: Math.round(width * Math.max(1, column / row)), height: Math.round(height * Math.max(1, row / column)) }));
  const height = Math.max(...sizes.map((size) => size.height)), lines = caption();
  const width = Math.max(NARROWEST, sizes.reduce((sum, size) => sum + size.width, GAP * (shown.length - 1)));
  const page = Object.assign(document.createElement("canvas"), { width, height: height + LINE * lines.length + 10 });
  const g = page.getContext("2d", { alpha: false });
  let left = 0;
  shown.forEach((canvas, i) => {
    g.drawImage(canvas, left, 0, sizes[i].width, sizes[i].height);
    drawCalipers(g, left, sizes[i]);
    left += sizes[i].width + GAP;
  });
  g.font = "13px system-ui, sans-serif";
  g.fillStyle = "#c8d2dc";
  lines.forEach((line, i) => g.fillText(line, 8, height + LINE * (i + 1) - 1, width - 16));
  return page;
}

function caption() {
  const labels = [$("before-label"), $("after-label")].map((label) => label.textContent).filter(Boolean).join(" | ");
  const lengths = [...$("measures").children].map((one) => one.textContent).join(", ");
  return [
    `${labels}: ${$("source").textContent} → ${$("model").textContent}`,
    `frame ${stage.sequence}, ${clock(stage.time, true)}`,
    stage.raw ? "Raw: this frame could not be processed" : "", lengths, adjustment(), "Not a medical device.",
  ].filter(Boolean);
}

$("snapshot").addEventListener("click", saveSnapshot);
