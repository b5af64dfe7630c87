"use strict";
// The page asks for a frame with any message, gets the newest one, draws it, and asks again: it can never fall behind.

const $ = (id) => document.getElementById(id);
const KEPT = 300; // points in the strip chart
const picture = $("canvas").getContext("2d");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

let socket, info = {}, version = 0, points = [], before = null, after = null;
let split = 0.5, lastFrameAt = 0, ended = false, work = Promise.resolve();

function setState(state, text, notice = text) {
  document.body.dataset.state = state;
  if ($("state-text").textContent !== text) $("state-text").textContent = text;
  $("notice-text").textContent = notice;
}

// ---- connection ---------------------------------------------------------------------------------------------------

function connect() {
  socket = new WebSocket(`ws://${location.host}/ws`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    work = work.then(() => (typeof data === "string" ? onText(JSON.parse(data)) : onFrame(data)));
  };
  socket.onclose = () => {
    work = work.then(() => {
      if (ended) return;
      setState("lost", "Connection lost", after ? "Connection lost. This is the last frame received." : "No stream here yet. Trying again.");
      setTimeout(connect, 1000);
    });
  };
}

function onText(message) {
  if (message.ended) {
    ended = true;
    showCounters(message.counters);
    setState("ended", "Stream ended", after ? "Stream ended. Last frame." : "The stream ended before its first frame");
    return;
  }
  info = message;
  version = 0;
  points = [];
  describe();
  setState("waiting", "Waiting", "Waiting for the first frame");
  socket.send("next");
}

async function onFrame(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const [n, m] = header.bytes, start = 4 + length;
  const decode = (from, size) => createImageBitmap(new Blob([new Uint8Array(buffer, from, size)], { type: "image/bmp" }));
  const pair = await Promise.all([decode(start, n), decode(start + n, m)]);
  before?.close();
  after?.close();
  [before, after] = pair;
  const fresh = header.version - version;
  if (fresh > 0) {
    points = points.concat(header.points.slice(-fresh)).slice(-KEPT);
    version = header.version;
    lastFrameAt = performance.now();
  }
  // A hidden tab gets no animation frame, asks for nothing, and costs the stream nothing.
  requestAnimationFrame(() => {
    showFrame(header);
    if (!ended && socket.readyState === WebSocket.OPEN) socket.send("next");
  });
}

setInterval(() => {
  const state = document.body.dataset.state;
  if (document.hidden || (state !== "live" && state !== "stalled")) return;
  const idle = performance.now() - lastFrameAt;
  if (idle > Math.max(1000, 5 * (info.period_ms || 0))) {
    const text = `No new frame for ${(idle / 1000).toFixed(0)} s`;
    setState("stalled", text, `${text}. This is the last one.`);
    $("fps").textContent = "0";
  }
}, 250);
document.addEventListener("visibilitychange", () => { lastFrameAt = performance.now(); });

// ---- what is shown ------------------------------------------------------------------------------------------------

function describe() {
  const rate = 1000 / info.period_ms;
  $("headline").textContent = `${info.source} → ${info.model}`;
  document.title = `${info.source} · edgerecon`;
  $("source").textContent = info.source;
  $("model").textContent = info.model;
  $("engine").textContent = `${info.backend}, ${info.precision}`;
  const [row, column] = info.spacing_mm || [];
  $("pixel").textContent = row ? `${row.toPrecision(3)} × ${column.toPrecision(3)} mm` : "size not in the recording";
  $("deadline").textContent = info.deadline_ms ? `deadline ${info.deadline_ms.toFixed(1)} ms` : "no deadline";
  $("nominal").textContent = isFinite(rate) ? `source ${rate.toFixed(1)}` : "";
}

function showFrame(header) {
  if (!ended && socket.readyState === WebSocket.OPEN) setState("live", "Live");
  document.body.toggleAttribute("data-raw", header.raw);
  $("raw-badge").hidden = !header.raw;
  $("after-label").textContent = header.raw ? "Raw" : "After";
  $("frame-facts").textContent = `Frame ${header.sequence}, ${header.shape[1]} × ${header.shape[0]} pixels`;
  $("latency").textContent = header.latency_ms.toFixed(header.latency_ms < 100 ? 1 : 0);
  $("latency").classList.toggle("bad", header.late);
  showCounters(header.counters);
  drawPicture();
  drawChart();
}

function showCounters(counters) {
  for (const name of ["frames_in", "presented", "late", "dropped", "failed", "raw_shown"]) {
    $(name).textContent = counters[name].toLocaleString("en");
    const cell = $(name).parentElement;
    if (cell.dataset.bad) cell.classList.toggle(`bad-${cell.dataset.bad}`, counters[name] > 0);
  }
  const reasons = Object.entries({ ...counters.drops, ...counters.failures });
  $("reasons").replaceChildren(...reasons.slice(0, 4).map(([why, count]) => {
    const item = document.createElement("li");
    item.textContent = `${count} × ${why}`;
    return item;
  }));
}

function drawPicture() {
  if (!after) return;
  const canvas = picture.canvas, { width, height } = after;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    const [row, column] = info.spacing_mm || [1, 1];
    document.documentElement.style.setProperty("--ratio", (width * column) / (height * row));
    showScaleBar();
  }
  picture.drawImage(after, 0, 0);
  const x = Math.round(split * width), sx = (x / width) * before.width;
  if (x > 0) picture.drawImage(before, 0, 0, sx, before.height, 0, 0, x, height);
}

function showScaleBar() {
  $("scale-bar").hidden = !info.spacing_mm;
  if (!info.spacing_mm) return;
  const across = after.width * info.spacing_mm[1];
  const mm = [50, 20, 10, 5, 2, 1, 0.5].find((length) => length < across / 4) || 0.2;
  $("scale-bar").style.width = `${(100 * mm) / across}%`;
  $("scale-bar").firstElementChild.textContent = mm >= 10 ? `${mm / 10} cm` : `${mm} mm`;
}

function drawChart() {
  const canvas = $("chart"), scale = window.devicePixelRatio || 1;
  const w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * scale)) { canvas.width = Math.round(w * scale); canvas.height = Math.round(h * scale); }
  const g = canvas.getContext("2d");
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, w, h);
  const latencies = points.map((p) => p[1]), sorted = [...latencies].sort((a, b) => a - b);
  const limit = info.deadline_ms, worst = sorted[sorted.length - 1] || 1;
  const top = limit ? Math.max(1.3 * limit, Math.min(1.1 * worst, 3 * limit)) : 1.2 * worst;
  const y = (ms) => h - 1 - Math.min(1, ms / top) * (h - 2), step = w / KEPT;

  points.forEach(([, ms, late, raw], i) => {
    g.fillStyle = raw ? colour("--amber") : late ? colour("--red") : colour("--teal");
    g.fillRect(w - (points.length - i) * step, y(ms), Math.max(step - 0.25, 0.75), h - y(ms));
  });
  g.strokeStyle = colour("--line");
  g.strokeRect(-1, h - 0.5, w + 2, 2);
  if (limit) {
    g.strokeStyle = colour("--muted");
    g.setLineDash([4, 4]);
    g.beginPath(); g.moveTo(0, y(limit)); g.lineTo(w, y(limit)); g.stroke();
    g.setLineDash([]);
    g.fillStyle = colour("--muted");
    g.font = "11.5px system-ui, sans-serif";
    g.fillText("deadline", 0, y(limit) - 5);
  }
  const at = (q) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))].toFixed(1) : "–");
  $("p50").textContent = at(0.5);
  $("p99").textContent = at(0.99);
  $("worst").textContent = at(1);
  $("span").textContent = points.length;
  const now = points.length ? points[points.length - 1][0] : 0, recent = points.filter((p) => p[0] >= now - 2000);
  const spent = recent.length > 1 ? now - recent[0][0] : 0;
  $("fps").textContent = spent ? (((recent.length - 1) * 1000) / spent).toFixed(1) : "–";
}

// ---- divider ------------------------------------------------------------------------------------------------------

function moveDivider(to) {
  split = Math.min(1, Math.max(0, to));
  const percent = Math.round(split * 100);
  $("divider").style.left = `${split * 100}%`;
  $("divider").setAttribute("aria-valuenow", percent);
  $("divider").setAttribute("aria-valuetext", `${percent} % before, ${100 - percent} % after`);
  drawPicture();
}

const box = $("picture");
const follow = (event) => {
  const { left, width } = box.getBoundingClientRect();
  moveDivider((event.clientX - left) / width);
};
box.addEventListener("pointerdown", (event) => {
  box.setPointerCapture(event.pointerId);
  $("divider").focus({ preventScroll: true });
  follow(event);
  event.preventDefault();
});
box.addEventListener("pointermove", (event) => { if (box.hasPointerCapture(event.pointerId)) follow(event); });
$("divider").addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 0.1 : 0.02;
  const to = { ArrowLeft: split - step, ArrowDown: split - step, ArrowRight: split + step, ArrowUp: split + step,
    PageDown: split - 0.1, PageUp: split + 0.1, Home: 0, End: 1 }[event.key];
  if (to === undefined) return;
  moveDivider(to);
  event.preventDefault();
});
window.addEventListener("resize", drawChart);

moveDivider(0.5);
connect();
