// Stands in for the viewer's feed.js: frames are made in this page, by a source and the network in a worker. The newest
// frame wins: one is in the worker, one waits, and what it replaces is counted as dropped.

import { settings, whenChanged } from "./controls.js";

const BUSY = "the network was busy: a newer frame came";

export class Feed {
  /** See the viewer's Feed. The stream begins with follow(), and again with each source that is chosen. */
  constructor(name, on, word) {
    Object.assign(this, { name, on, word, state: "", closed: true, waiting: null, running: null, points: [] });
    this.worker = new Worker(new URL("./engine-worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.#answer(data);
    this.worker.onerror = ({ message }) => this.#fail(message || "the worker did not start");
    whenChanged(() => this.#begin());
  }

  follow() {
    if (!this.closed) return;
    this.closed = false;
    this.#begin();
  }

  stop() {
    this.source?.stop();
    this.worker.terminate();
    this.closed = true;
  }

  #begin() {
    if (this.closed) return;
    this.source?.stop();
    this.source = settings.source;
    this.waiting = null;
    this.began = performance.now();
    this.counters = { frames_in: 0, presented: 0, late: 0, dropped: 0, failed: 0, raw_shown: 0, drops: {}, failures: {} };
    this.#say("waiting", "Waiting", "The network is being loaded");
    if (this.engine) this.#start();
  }

  #start() {
    const { name, period } = this.source;
    this.deadline = period;
    this.on.info({ name, source: name, model: this.engine.model, backend: this.engine.backend, precision: this.engine.precision,
      period_ms: period, deadline_ms: period });
    this.source.start((picture, captured) => this.#take(picture, captured));
  }

  #take(picture, captured) {
    this.counters.frames_in++;
    const frame = { picture, captured, time: performance.timeOrigin + captured, number: this.counters.frames_in - 1 };
    if (this.waiting) this.#count("dropped", "drops", BUSY);
    this.waiting = frame;
    this.#next();
  }

  #next() {
    if (this.running || !this.waiting || !this.engine) return;
    this.running = { ...this.waiting, source: this.source };
    this.waiting = null;
    const { width, height, data } = this.running.picture;
    this.worker.postMessage({ width, height, data, strength: settings.strength });
  }

  #answer(answer) {
    if (answer.ready) {
      this.engine = answer.ready;
      this.#start();
    } else if (answer.unusable) this.#fail(answer.unusable);
    else this.#present(answer);
  }

  #present({ data, infer, failure }) {
    const { picture, captured, time, number, source } = this.running;
    this.running = null;
    if (source === this.source) {
      const now = performance.now(), latency = now - captured, late = latency > this.deadline;
      const raw = failure !== undefined;
      if (raw) this.#count("raw_shown", "failures", failure);
      this.counters.presented++;
      if (late) this.counters.late++;
      const { width, height } = picture;
      this.on.frame({
        header: { sequence: number, time_ms: time, shape: [height, width], spacing_mm: source.spacing ?? null, raw, infer_ms: infer },
        before: picture,
        after: { width, height, data: raw ? picture.data : data },
      });
      this.on.figures(this.counters, [[now - this.began, latency, late, raw]]);
      if (this.state !== "live") this.#say("live", "Live");
    }
    this.#next();
  }

  #count(counter, reasons, why) {
    this.counters[counter]++;
    this.counters[reasons][why] = (this.counters[reasons][why] ?? 0) + 1;
  }

  #fail(why) {
    this.source?.stop();
    this.#say("failed", "Failed", why);
  }

  #say(state, text, notice = text) {
    const changed = state !== this.state;
    this.state = state;
    this.on.state(state, text, notice, changed);
  }
}
