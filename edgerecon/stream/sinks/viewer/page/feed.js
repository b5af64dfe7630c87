// One stream's connection. The page asks for a frame by a word, gets the newest one, draws it, and asks again: it can
// never fall behind, and a hidden tab, which draws nothing, asks for nothing.

const decoder = new TextDecoder();
const ABSENT = {
  starting: ["Starting", "The stream is starting"],
  waiting: ["Waiting", "The stream waits for its source"],
  failed: ["Failed", "The stream failed; its log says why"],
  ended: ["Stream ended", "The stream has ended"],
};

/** {header, before, after} of a binary message; pictures are {width, height, data}, 8-bit grey or RGB, not copied. */
function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(decoder.decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  const picture = ([height, width, channels = 1]) => {
    const data = new Uint8Array(buffer, at, height * width * channels);
    at += data.length;
    return { width, height, data };
  };
  return { header, before: picture(header.before), after: picture(header.after) };
}

export class Feed {
  /**
   * @param name of the stream.
   * @param on info(message), frame(picture), figures(counters, points), state(state, text, notice).
   * @param word what to ask for next: "frame", "tile" or "figures".
   *
   * It connects once it is told that the stream runs (see follow).
   */
  constructor(name, on, word) {
    Object.assign(this, { name, on, word, info: {}, version: 0, state: "", hasFrame: false, newestAt: 0, socket: null });
    this.watch = setInterval(() => this.#watch(), 250);
  }

  get closed() { return !this.socket || this.socket.readyState === WebSocket.CLOSED; }

  /** What the list of streams says: undefined while it runs, else why it does not. Connects, or says so. */
  follow(absent) {
    if (!this.closed) return;
    if (absent === undefined) return this.#connect();
    const [text, notice] = ABSENT[absent] ?? [absent, absent];
    if (this.state !== absent) this.#say(absent, text, this.hasFrame ? `${notice}. This is its last frame.` : notice);
  }

  #connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws?stream=${encodeURIComponent(this.name)}`);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      if (typeof data === "string") this.#text(JSON.parse(data));
      else this.#frame(unpack(data));
    };
    socket.onclose = () => {
      if (socket !== this.socket || this.state === "ended") return;
      this.#say("lost", "Connection lost", this.hasFrame ? "Connection lost. This is the last frame received." : "No stream here yet. Trying again.");
    };
    this.socket = socket;
  }

  /** Says something to the stream; it is lost where there is no connection. */
  tell(text) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(text);
  }

  stop() {
    clearInterval(this.watch);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  #text(message) {
    if (message.source !== undefined) {
      this.info = message;
      this.version = 0;
      this.on.info(message);
      this.#say("waiting", "Waiting", "Waiting for the first frame");
      this.socket.send(this.word());
    } else if (message.ended) {
      this.on.figures(message.counters, []);
      this.#say("ended", "Stream ended", this.hasFrame ? "Stream ended. Last frame." : "The stream ended before its first frame");
    } else if (message.counters) {
      this.#advance(message.version, message.counters);
      this.on.figures(message.counters, message.points);
      this.#next();
    } else if (message.points) this.on.figures(null, message.points);
  }

  #frame(picture) {
    const { header } = picture, point = [header.at_ms, header.latency_ms, header.late, header.raw];
    const fresh = header.version > this.version;
    this.hasFrame = true;
    this.#advance(header.version, header.counters);
    this.on.frame(picture);
    this.on.figures(header.counters, fresh ? [point] : []);
    this.#next();
  }

  #advance(version, counters) {
    if (version > this.version) {
      this.version = version;
      this.newestAt = performance.now();
      if (this.state !== "ended") this.#say("live", "Live");
    }
    if (counters.stalled && this.state === "live") this.#stalled();
  }

  #next() {
    requestAnimationFrame(() => {
      if (this.state !== "ended" && this.socket?.readyState === WebSocket.OPEN) this.socket.send(this.word());
    });
  }

  #watch() {
    if (document.hidden) this.newestAt = performance.now();
    else if ((this.state === "live" && this.#idle() > Math.max(1000, 5 * (this.info.period_ms || 0))) || this.state === "stalled") this.#stalled();
  }

  #idle() { return performance.now() - this.newestAt; }

  #stalled() {
    const text = `No new frame for ${(this.#idle() / 1000).toFixed(0)} s`;
    this.#say("stalled", text, `${text}. This is the last one.`);
  }

  #say(state, text, notice = text) {
    const changed = state !== this.state;
    this.state = state;
    this.on.state(state, text, notice, changed);
  }
}
