// Says for each frame where its tissue is, as edgerecon/stream/picture/finder.py does: the first frame of a size tells the
// surroundings, eight tell graphics, too, and all is looked at anew when the surroundings change.

import { Area } from "./area.js";
import { LOOKED_AT, TEXT_MOVES, findTissue, motionOf } from "./tissue.js";

const PATIENCE = 8 * LOOKED_AT, CHANGED = 0.02;

export class TissueFinder {
  /** reach: pixels beyond the tissue that the network sees. */
  constructor(reach) {
    this.reach = reach;
    this.#start({ width: 0, height: 0 });
  }

  /** The area of one more frame, {width, height, data}. */
  area(frame) {
    const { width, height, data } = frame;
    if (width !== this.width || height !== this.height) {
      this.#start(frame);
      if (isNews(data)) this.#settle([frame]);
    }
    if (this.looked < PATIENCE) this.#look(frame);
    else if (this.#changed(data)) this.#start(frame);
    return this.found;
  }

  #start({ width, height }) {
    Object.assign(this, { width, height, looked: 0, frames: [], found: null, levels: null });
  }

  #settle(frames) {
    const moved = motionOf(frames), mask = findTissue(frames, moved);
    this.found = new Area(mask, this.width, this.height, this.reach, moved.map((range) => range <= TEXT_MOVES));
    this.levels = null;
  }

  #look({ width, height, data }) {
    this.looked++;
    if (isNews(data, this.frames.at(-1)?.data)) this.frames.push({ width, height, data: data.slice() });
    if (this.frames.length < LOOKED_AT && this.looked < PATIENCE) return;
    if (this.frames.length) this.#settle(this.frames);
    Object.assign(this, { looked: PATIENCE, frames: [] });
  }

  #changed(data) {
    if (!this.found?.watched.length) return false;
    const seen = this.found.watched.map((at) => data[at]);
    this.levels ??= seen;
    const changed = seen.filter((level, i) => Math.abs(level - this.levels[i]) > TEXT_MOVES).length;
    return changed > CHANGED * seen.length && isNews(data);
  }
}

/** Whether a frame tells something: a blank one does not, nor one that is shown again. */
const isNews = (data, before) => data.some((value) => value !== data[0]) && !(before && data.every((value, at) => value === before[at]));
