// The strip chart of latencies, with the deadline.

import { $, setText } from "./dom.js";

const KEPT = 300;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
let points = [], limit = null;

export function startChart(deadline) {
  points = [];
  limit = deadline;
  drawChart();
}

/** points: [at ms, latency ms, late, raw]. */
export function plot(more) {
  if (!more.length) return;
  points = points.concat(more).slice(-KEPT);
  drawChart();
}

/** Median latency in ms of the frames presented within the last second of the stream; null when unknown. */
export function recentLatency() {
  const now = points.length ? points[points.length - 1][0] : 0;
  const recent = points.filter((p) => p[0] >= now - 1000).map((p) => p[1]).sort((a, b) => a - b);
  const half = recent.length >> 1;
  if (!recent.length) return null;
  return recent.length % 2 ? recent[half] : (recent[half - 1] + recent[half]) / 2;
}

/** Frames a second over the last two, of the presented frames and not of the drawn ones; null when unknown. */
export function rate() {
  const now = points.length ? points[points.length - 1][0] : 0, recent = points.filter((p) => p[0] >= now - 2000);
  const spent = recent.length > 1 ? now - recent[0][0] : 0;
  return spent ? ((recent.length - 1) * 1000) / spent : null;
}

export function drawChart() {
  const canvas = $("chart"), scale = window.devicePixelRatio || 1;
  const w = canvas.clientWidth, h = canvas.clientHeight;
  if (!w) return;
  if (canvas.width !== Math.round(w * scale)) { canvas.width = Math.round(w * scale); canvas.height = Math.round(h * scale); }
  const g = canvas.getContext("2d");
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, w, h);
  const sorted = points.map((p) => p[1]).sort((a, b) => a - b), worst = sorted[sorted.length - 1] || 1;
  const top = limit ? Math.max(1.3 * limit, Math.min(1.1 * worst, 3 * limit)) : 1.2 * worst;
  const y = (ms) => h - 1 - Math.min(1, ms / top) * (h - 2), step = w / KEPT;
  const [amber, red, teal] = ["--amber", "--red", "--teal"].map(colour);

  points.forEach(([, ms, late, raw], i) => {
    g.fillStyle = raw ? amber : late ? red : teal;
    g.fillRect(w - (points.length - i) * step, y(ms), Math.max(step - 0.25, 0.75), h - y(ms));
  });
  g.strokeStyle = colour("--line");
  g.strokeRect(-1, h - 0.5, w + 2, 2);
  if (limit) drawDeadline(g, w, y(limit));
  tell(sorted);
}

function drawDeadline(g, width, y) {
  g.strokeStyle = g.fillStyle = colour("--text");
  g.setLineDash([4, 4]);
  g.beginPath();
  g.moveTo(0, y);
  g.lineTo(width, y);
  g.stroke();
  g.setLineDash([]);
  g.font = "11.5px system-ui, sans-serif";
  g.strokeStyle = colour("--panel"); // the letters stand off from the bars behind them
  g.lineWidth = 3;
  g.strokeText("deadline", 0, y - 5);
  g.lineWidth = 1;
  g.fillText("deadline", 0, y - 5);
}

function tell(sorted) {
  const at = (q) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))].toFixed(1) : "–");
  setText($("p50"), at(0.5));
  setText($("p99"), at(0.99));
  setText($("worst"), at(1));
  setText($("span"), String(points.length));
}

window.addEventListener("resize", drawChart);
