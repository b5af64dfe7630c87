// Beside the picture: what the stream is, its counters, and the step of the quality ladder.

import { say } from "./announce.js";
import { $, make, setText } from "./dom.js";

const COUNTS = ["frames_in", "presented", "late", "dropped", "failed", "raw_shown", "gaps"];
let rung = null, limit = null;

export function describe(info) {
  const rate = 1000 / info.period_ms;
  setText($("headline"), `${info.name === info.source ? "" : `${info.name}: `}${info.source} → ${info.model}`);
  document.title = `${info.name} · edgerecon`;
  setText($("source"), info.source);
  setText($("model"), info.model);
  setText($("engine"), `${info.backend}, ${info.precision}`);
  setText($("deadline"), info.deadline_ms ? `deadline ${info.deadline_ms.toFixed(1)} ms` : "no deadline");
  setText($("nominal"), isFinite(rate) ? `source ${rate.toFixed(1)}` : "");
  setText($("latency"), "–");
  setText($("fps"), "–");
  rung = null;
  limit = info.deadline_ms;
}

export function showPixel(spacing) {
  const [row, column] = spacing || [];
  setText($("pixel"), row ? `${row.toPrecision(3)} × ${column.toPrecision(3)} mm` : "size not in the recording");
}

export function showLatency(ms) {
  setText($("latency"), ms.toFixed(ms < 100 ? 1 : 0));
  $("latency").classList.toggle("bad", limit !== null && ms > limit);
}

export const showRate = (fps) => setText($("fps"), fps === null ? "–" : fps.toFixed(fps ? 1 : 0));

export function showCounters(counters) {
  for (const name of COUNTS) {
    const cell = $(name).parentElement;
    cell.hidden = counters[name] === undefined;
    setText($(name), (counters[name] ?? 0).toLocaleString("en"));
    if (cell.dataset.bad) cell.classList.toggle(`bad-${cell.dataset.bad}`, counters[name] > 0);
  }
  const reasons = [counters.drops, counters.failures, counters.raws, counters.skips].flatMap((one) => Object.entries(one ?? {})).sort((a, b) => b[1] - a[1]).slice(0, 4);
  const lines = reasons.map(([why, count]) => `${count.toLocaleString("en")} × ${why}`);
  if ($("reasons").dataset.lines !== String(lines)) {
    $("reasons").dataset.lines = String(lines);
    $("reasons").replaceChildren(...lines.map((line) => make("li", {}, line)));
  }
  showLadder(counters.ladder || [], counters.rung ?? 0);
}

function showLadder(names, now) {
  $("ladder-section").hidden = names.length < 2;
  if (names.length < 2 || now === rung) return;
  if (rung !== null) say(`Quality ladder: ${names[now]}`);
  rung = now;
  setText($("ladder-small"), now ? "stepped down" : "full quality");
  $("ladder").replaceChildren(...names.map((name, i) => make("li", i === now ? { "aria-current": "step" } : {}, name)));
  $("ladder").classList.toggle("down", now > 0);
}
