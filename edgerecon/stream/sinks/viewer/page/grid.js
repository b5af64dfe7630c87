// All streams at once, small; each tile is a link to its stream.

import { say } from "./announce.js";
import { $, make, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { Plate } from "./pixels.js";

const tiles = new Map();

/** Shows tiles for these streams and no others. */
export function showGrid(names) {
  for (const [name, tile] of tiles) {
    const gone = !names.includes(name) && tile.feed.closed; // one that still is connected will be told of its end
    if (gone && tile.feed.state !== "ended") drop(name);
    else if (names.includes(name) && tile.feed.closed) tile.feed.connect();
  }
  names.filter((name) => !tiles.has(name)).forEach(add);
  const columns = Math.ceil(Math.sqrt(names.length || 1));
  $("grid").style.setProperty("--columns", columns);
  $("grid").style.setProperty("--rows", Math.ceil((names.length || 1) / columns));
  document.body.dataset.state = "live";
  setText($("state-text"), `${names.length} streams`);
  setText($("headline"), "");
  document.title = `${names.length} streams · edgerecon`;
}

export function leaveGrid() {
  [...tiles.keys()].forEach(drop);
}

function drop(name) {
  tiles.get(name).feed.stop();
  tiles.get(name).item.remove();
  tiles.delete(name);
}

function add(name) {
  const item = make("li"), link = make("a", { href: `#/${encodeURIComponent(name)}` });
  const box = make("div", { class: "small" }), plate = new Plate();
  const title = make("b", {}, name), state = make("span", { class: "tile-state" }), facts = make("span", { class: "tile-facts" });
  plate.canvas.setAttribute("aria-hidden", "true");
  box.append(plate.canvas, make("i", { class: "tile-raw" }, "Raw"));
  link.append(box, title, state, facts);
  item.append(link);
  $("grid").append(item);
  let shown = 0, since = performance.now();
  const feed = new Feed(name, {
    info() {},
    frame({ header, after }) {
      shown += 1;
      plate.show(after);
      const [row, column] = header.spacing_mm || [1, 1];
      plate.canvas.style.aspectRatio = (header.shape[1] * column) / (header.shape[0] * row);
      item.toggleAttribute("data-raw", header.raw);
    },
    figures(counters, points) {
      if (!counters || performance.now() - since < 500) return;
      const missed = counters.late + counters.dropped + counters.failed, newest = points[points.length - 1];
      const ms = newest ? `${newest[1].toFixed(1)} ms` : `${counters.last_latency_ms.toFixed(1)} ms`;
      const step = counters.rung ? ` · ${counters.ladder?.[counters.rung] ?? "stepped down"}` : "";
      setText(facts, `${ms} · ${missed.toLocaleString("en")} missed${step}`);
      item.toggleAttribute("data-missed", missed > 0);
      since = performance.now();
    },
    state(now, text, notice, changed) {
      item.dataset.state = now;
      setText(state, text);
      if (changed && (now === "stalled" || now === "lost" || now === "ended")) say(`${name}: ${text}`);
    },
  }, () => "tile");
  tiles.set(name, { feed, item });
}
