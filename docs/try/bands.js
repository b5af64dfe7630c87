// Threads without shared memory: each worker has the network, and takes a band of a picture's rows with those that its
// pixels see. What comes out does not depend on how many there are.
//
//     band 0   ▓▓▓▓▓▓▓▓░░░          ▓ its own rows    ░ rows that they see
//     band 1        ░░░▓▓▓▓▓▓▓▓

import { Kernels } from "./kernels.js";

const MOST = 4, LOWEST = 96; // bands, and the rows of one: below that what it sees outweighs what it makes

/** threads: as many workers at most; null for the processor's. */
export async function open(about, bytes, asked = null) {
  const found = await bytes();
  const threads = Math.min(MOST, Number(asked) || self.navigator.hardwareConcurrency || 1);
  const others = Array.from({ length: threads - 1 }, () => new Worker(new URL("./band-worker.js", import.meta.url), { type: "module" }));
  others.forEach((worker) => worker.postMessage({ about, bytes: found }));
  return new Bands(about, new Kernels(about, found), others);
}

class Bands {
  constructor(about, own, others) {
    const threads = others.length + 1;
    Object.assign(this, { about, own, others, threads, precision: about.precision });
    this.backend = `WebAssembly, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  }

  close() {
    this.others.forEach((worker) => worker.terminate());
  }

  /** strength · network + (1 − strength) · picture, in 8-bit grey; {width, height, data} → its bytes. */
  async run(picture, strength) {
    const { width, height } = picture, cuts = this.#cuts(height);
    const [own, ...rest] = cuts.map((cut) => this.#band(picture, cut));
    const waits = rest.map((band, i) => this.#ask(this.others[i], { ...band, strength }));
    const shown = cuts.length > 1 ? new Uint8Array(width * height) : null;
    const first = this.own.run(own, strength);
    if (!shown) return first;
    [first, ...await Promise.all(waits)].forEach((rows, i) => {
      const { first: from, end } = cuts[i], skipped = from - (i ? rest[i - 1] : own).top;
      shown.set(rows.subarray(skipped * width, (skipped + end - from) * width), from * width);
    });
    return shown;
  }

  #cuts(height) {
    const count = Math.max(1, Math.min(this.threads, Math.floor(height / LOWEST))), { multiple } = this.about;
    const edge = (i) => i === count ? height : Math.round((height * i) / count / multiple) * multiple;
    return Array.from({ length: count }, (_, i) => ({ first: edge(i), end: edge(i + 1) }));
  }

  #band({ width, height, data }, { first, end }) {
    const { multiple, reach } = this.about, seen = Math.ceil(reach / multiple) * multiple;
    const top = Math.max(0, first - seen), bottom = Math.min(height, end + seen);
    return { top, width, height: bottom - top, data: data.subarray(top * width, bottom * width) };
  }

  #ask(worker, { width, height, data, strength }) {
    return new Promise((done, failed) => {
      worker.onmessage = ({ data: answer }) => answer.failure ? failed(new Error(answer.failure)) : done(answer.rows);
      worker.onerror = ({ message }) => failed(new Error(message || "a worker did not start"));
      const rows = data.slice(); // a part of a picture would be copied with all of its buffer
      worker.postMessage({ width, height, data: rows, strength }, [rows.buffer]);
    });
  }
}
