// Where frames show tissue: everything but constant surroundings, graphics that stand still, and traces in them. The rule and
// its numbers are those of edgerecon/stream/picture/tissue.py, which says why; a test holds that both give the same pixels.

import { components } from "./components.js";

export const LOOKED_AT = 8, TEXT_MOVES = 8;
const TOLERANCE = 2, LARGE = 0.005, ISLAND = 0.05, NEARLY_ALL = 0.8, STILL = 0.1, COMMON = 0.05, CONTRAST = 24;
const EVEN = 0.85, DENSE = 0.9, CLOSED = 9;
const TRACE_CONTRAST = 48, TRACE_WIDTH = 0.1, GAP = 9, ALIKE = 0.4;

/** frames: {width, height, data} of one size. Returns bytes: 1 where tissue is, 0 elsewhere. */
export function findTissue(frames, moved = motionOf(frames)) {
  const { width, height, data } = frames.at(-1), settled = frames.length >= LOOKED_AT;
  const outside = surroundings(data, moved, width, height);
  const everything = new Uint8Array(data.length).fill(1);
  if (!outside.includes(1)) return everything;
  const pieces = piecesOf(outside.map((one) => 1 - one), width, height);
  add(outside, where(pieces, still(pieces, moved, settled ? ISLAND : LARGE)));
  if (settled) {
    add(outside, traces(frames, pieces, outside));
    add(outside, graphics(frames.at(-1), moved, outside));
  }
  return outside.includes(0) ? outside.map((one) => 1 - one) : everything;
}

/** Range of each pixel over the frames. */
export function motionOf(frames) {
  const low = frames[0].data.slice(), high = frames[0].data.slice();
  for (const { data } of frames) {
    for (let at = 0; at < data.length; at++) {
      if (data[at] < low[at]) low[at] = data[at];
      if (data[at] > high[at]) high[at] = data[at];
    }
  }
  return high.map((most, at) => most - low[at]);
}

const add = (mask, more) => more.forEach((one, at) => { mask[at] |= one; });
const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

function borderOf(width, height) {
  const row = (y) => Array.from({ length: width }, (_, x) => y * width + x);
  const column = (x) => Array.from({ length: height }, (_, y) => y * width + x);
  return [...row(0), ...row(height - 1), ...column(0), ...column(width - 1)];
}

/** Still and even areas of a grey level that is common at the border, that reach it and are large. */
function surroundings(data, moved, width, height) {
  const found = new Uint8Array(data.length), border = borderOf(width, height);
  for (const level of commonLevels(border.map((at) => data[at]))) {
    const like = data.map((value, at) => Math.abs(value - level) <= TOLERANCE && moved[at] <= TOLERANCE ? 1 : 0);
    const { labels, count, area } = components(like, width, height, false);
    const large = new Uint8Array(count);
    for (const at of border) large[labels[at]] = area[labels[at]] >= LARGE * data.length ? 1 : 0;
    large[0] = 0;
    large.forEach((one, label) => {
      if (one) large[label] = isConstant(data, labels, label, width, height) ? 1 : 0;
    });
    add(found, like.map((_, at) => large[labels[at]]));
  }
  return found;
}

/** Whether an area of about one level is as even and as free of holes as what no echo has reached. */
function isConstant(data, labels, label, width, height) {
  const area = Uint8Array.from(labels, (one) => one === label ? 1 : 0), counts = new Array(256).fill(0);
  area.forEach((one, at) => { counts[data[at]] += one; });
  const sum = (values) => values.reduce((total, one) => total + one, 0), size = sum(counts);
  const level = counts.indexOf(Math.max(...counts)), even = sum(counts.slice(Math.max(0, level - 1), level + 2));
  const closed = widest(widest(area, width, height, CLOSED, Math.max), width, height, CLOSED, Math.min);
  return even >= EVEN * size && size >= DENSE * sum(closed);
}

/** Grey levels that many pixels of the border have, the most common first; three at most. */
function commonLevels(border) {
  const counts = new Array(256).fill(0), levels = [];
  for (const value of border) counts[value]++;
  for (let i = 0; i < 3; i++) {
    const most = Math.max(...counts), level = counts.indexOf(most);
    if (most < COMMON * border.length) break;
    levels.push(level);
    counts.fill(0, Math.max(0, level - TOLERANCE), level + TOLERANCE + 1);
  }
  return levels;
}

/** What lies apart within the surroundings. small: all but the largest, which is tissue, whatever it looks like. */
function piecesOf(inside, width, height) {
  const pieces = components(inside, width, height, true);
  const largest = pieces.area.reduce((best, area, label) => label && (!best || area > pieces.area[best]) ? label : best, 0);
  return { ...pieces, small: pieces.area.map((_, label) => label !== 0 && label !== largest) };
}

/** Which pieces are graphics: of at most a share of the frame, and standing still. */
function still({ labels, area, small }, moved, largest) {
  const counts = new Array(area.length).fill(0), size = Math.max(largest * labels.length, 1);
  labels.forEach((label, at) => { counts[label] += moved[at] <= TEXT_MOVES; });
  return small.map((one, label) => one && counts[label] >= NEARLY_ALL * area[label] && area[label] <= size);
}

const where = ({ labels }, chosen) => Uint8Array.from(labels, (label) => chosen[label] ? 1 : 0);

/** Strips of the surroundings in which a line of one level runs from side to side, and moves. */
function traces(frames, pieces, outside) {
  const { width, height, data } = frames.at(-1), found = new Uint8Array(outside.length);
  const moving = where(pieces, pieces.small).map((one, at) => one & ~outside[at]);
  if (!moving.includes(1)) return found;
  const level = Math.trunc(median([...data].filter((_, at) => outside[at])));
  const lines = frames.map((frame) => frame.data.map((value, at) => Math.abs(value - level) > TEXT_MOVES ? moving[at] : 0));
  const lit = outside.map((_, at) => lines.some((line) => line[at]) ? 1 : 0);
  const { boxes } = components(widest(lit, width, height, GAP, Math.max), width, height, true);
  for (const [left, top, wide, high] of boxes.slice(1)) {
    const strip = [];
    for (let y = top; y < top + high; y++) for (let x = left; x < left + wide; x++) strip.push(y * width + x);
    const free = strip.every((at) => outside[at] || moving[at]);
    if (wide >= TRACE_WIDTH * width && free && frames.every(({ data: grey }, i) => isLine(lines[i], grey, strip, wide))) {
      for (const at of strip) found[at] = 1;
    }
  }
  return found;
}

/** Whether what is lit is drawn with about one level, and in nearly every column is one run. */
function isLine(lit, grey, strip, wide) {
  const levels = [];
  let single = 0;
  for (let x = 0; x < wide; x++) {
    let level = -1, starts = 0, before = 0;
    for (let i = x; i < strip.length; i += wide) {
      const at = strip[i];
      if (lit[at]) level = Math.max(level, grey[at]);
      starts += lit[at] > before;
      before = lit[at];
    }
    if (level < 0) continue;
    levels.push(level);
    single += starts === 1;
  }
  if (levels.length < 0.5 * wide) return false;
  const drawn = median(levels), alike = levels.filter((level) => Math.abs(level - drawn) <= ALIKE * drawn).length;
  return drawn >= TRACE_CONTRAST && alike >= NEARLY_ALL * levels.length && single >= 0.9 * levels.length;
}

/** What stands still over tissue that moves, and is brighter than what is around it; with its dark rim. */
function graphics({ width, height, data }, moved, outside) {
  const calm = outside.map((one, at) => !one && moved[at] === 0 ? 1 : 0);
  const share = (mask) => mask.reduce((sum, one) => sum + one, 0);
  const none = new Uint8Array(outside.length), tissue = outside.length - share(outside);
  if (!tissue || share(calm) > STILL * tissue) return none;
  const high = widest(data, width, height, 3, Math.max), low = widest(data, width, height, 3, Math.min);
  const { labels, count, area } = components(calm, width, height, true);
  const drawn = new Uint8Array(count), bright = new Uint8Array(count);
  labels.forEach((label, at) => {
    if (high[at] - low[at] >= CONTRAST) drawn[label] = 1;
    if (data[at] >= 2 * CONTRAST) bright[label] = 1; // else it is a cyst without any echo
  });
  return none.map((_, at) => labels[at] && drawn[labels[at]] && bright[labels[at]] && area[labels[at]] >= 3 ? 1 : 0);
}

/** The most or the least (Math.max, Math.min) of a square of `size` around each pixel, as far as it lies in the picture. */
function widest(data, width, height, size, most) {
  const half = size >> 1, across = new Uint8Array(data.length), result = new Uint8Array(data.length);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      let value = data[at];
      for (let i = Math.max(-half, -x); i <= Math.min(half, width - 1 - x); i++) value = most(value, data[at + i]);
      across[at] = value;
    }
  }
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      let value = across[at];
      for (let i = Math.max(-half, -y); i <= Math.min(half, height - 1 - y); i++) value = most(value, across[at + i * width]);
      result[at] = value;
    }
  }
  return result;
}
