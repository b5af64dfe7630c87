// The part of a frame that the network is run on, as edgerecon/stream/picture/area.py has it: the box around the tissue.
// Beyond the tissue the nearest of its pixels is repeated, as far as the network sees, so that nothing spills.

const ALIGNED = 16, SMALLEST = 64, REACH_AT_MOST = 32, WATCHED = 4096;

export class Area {
  /** mask: bytes, 1 where tissue is. still: where the frames did not move. */
  constructor(mask, width, height, reach, still) {
    const beyond = Math.min(reach, REACH_AT_MOST), { left, right, top, bottom } = edgesOf(mask, width, height);
    Object.assign(this, { mask, width, height, columns: side(left, right, beyond, width), rows: side(top, bottom, beyond, height) });
    this.whole = !mask.includes(0);
    [this.band, this.nearest] = this.whole ? [[], []] : this.#filled(beyond);
    const outside = [];
    mask.forEach((one, at) => { if (!one && still[at]) outside.push(at); });
    const step = Math.max(1, Math.floor(outside.length / WATCHED));
    this.watched = outside.filter((_, i) => i % step === 0);
  }

  /** What the network is shown: the box of a frame, and beyond its tissue the nearest of it again. */
  cover({ data }) {
    const [top, bottom] = this.rows, [left, right] = this.columns, wide = right - left;
    const seen = new Uint8Array(wide * (bottom - top));
    for (let y = top; y < bottom; y++) seen.set(data.subarray(y * this.width + left, y * this.width + right), (y - top) * wide);
    this.band.forEach((at, i) => { seen[at] = seen[this.nearest[i]]; });
    return { width: wide, height: bottom - top, data: seen };
  }

  /** The frame with the tissue of a result of its box. */
  paste({ data }, made) {
    const [top, bottom] = this.rows, [left, right] = this.columns, shown = data.slice();
    for (let y = top, from = 0; y < bottom; y++) {
      for (let x = left, at = y * this.width + left; x < right; x++, at++, from++) if (this.mask[at]) shown[at] = made[from];
    }
    return shown;
  }

  /** Places in the box of the pixels that are filled, and of those that they are filled with: rings around the tissue. */
  #filled(reach) {
    const [top, bottom] = this.rows, [left, right] = this.columns, wide = right - left, high = bottom - top;
    const from = new Int32Array(wide * high).fill(-1), filled = [];
    for (let at = 0; at < from.length; at++) if (this.mask[(top + Math.floor(at / wide)) * this.width + left + at % wide]) from[at] = at;
    let ring = from.filter((at) => at >= 0);
    for (let step = 0; step < reach; step++) {
      const next = [];
      for (const at of ring) {
        const x = at % wide, y = (at - x) / wide;
        for (const [dx, dy] of NEIGHBOURS) {
          const there = at + dx + dy * wide;
          if (x + dx < 0 || x + dx >= wide || y + dy < 0 || y + dy >= high || from[there] >= 0) continue;
          from[there] = from[at];
          next.push(there);
        }
      }
      filled.push(...next);
      ring = next;
    }
    return [Int32Array.from(filled), Int32Array.from(filled, (at) => from[at])];
  }
}

const NEIGHBOURS = [[0, -1], [-1, 0], [1, 0], [0, 1], [-1, -1], [1, -1], [-1, 1], [1, 1]]; // sides before corners

function edgesOf(mask, width, height) {
  let left = width, right = 0, top = height, bottom = 0;
  mask.forEach((one, at) => {
    if (!one) return;
    const x = at % width, y = (at - x) / width;
    left = Math.min(left, x), right = Math.max(right, x + 1), top = Math.min(top, y), bottom = Math.max(bottom, y + 1);
  });
  return right ? { left, right, top, bottom } : { left: 0, right: width, top: 0, bottom: height };
}

/** The range with its reach, widened to multiples where the frame has room. */
function side(first, last, reach, length) {
  let start = Math.max(0, first - reach), end = Math.min(length, last + reach);
  start = Math.max(0, Math.min(start, length - SMALLEST));
  end = Math.min(length, Math.max(end, start + SMALLEST));
  return [start - start % ALIGNED, Math.min(length, end + (ALIGNED - end % ALIGNED) % ALIGNED)];
}
