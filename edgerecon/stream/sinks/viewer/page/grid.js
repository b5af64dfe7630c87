// All streams at once, small; each tile is a link to its stream.

import { say } from "./announce.js";
import { $, make, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { Plate } from "./pixels.js";

const tiles = new Map();

/** Shows a tile for each of these streams, in their order, whether they run or not; see session.js. */
export function showGrid({ names, absent, planned }) {
  for (const [name, tile] of tiles) {
    const gone = !names.includes(name) && tile.feed.closed; // one that still is connected will be told of its end
    if (gone && (planned || tile.feed.state !== "ended")) drop(name);
  }
  names.forEach((name, i) => {
    if (!tiles.has(name)) add(name);
    const { item, feed } = tiles.get(name);
    if ($("grid").children[i] !== item) $("grid").insertBefore(item, $("grid").children[i] ?? null);
    feed.follow(absent[name]);
  });
  const columns = Math.ceil(Math.sqrt(tiles.size || 1));
  $("grid").style.setProperty("--columns", columns);
  $("grid").style.setProperty("--rows", Math.ceil((tiles.size || 1) / columns));
  setText($("headline"), "");
  count();
}

/** How many of them are live, in the head and in the title. */
function count() {
  const live = [...tiles.values()].filter(({ feed }) => feed.state === "live").length;
  const text = `${live} of ${tiles.size} live`;
  document.body.dataset.state = live === tiles.size ? "live" : live ? "stalled" : "lost";
  setText($("state-text"), text);
  if (document.title !== `${text} · edgerecon`) document.title = `${text} · edgerecon`;
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
  const empty = make("i", { class: "tile-empty", "aria-hidden": "true" });
  box.append(plate.canvas, empty, make("i", { class: "tile-raw" }, "Raw"));
  link.append(box, title, state, facts);
  item.append(link);
  $("grid").append(item);
  let since = performance.now(), feed = null;
  feed = new Feed(name, {
    info() {},
    frame({ header, after }) {
      plate.show(after);
      setText(empty, "");
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
      setText(empty, feed?.hasFrame ? "" : notice);
      if (!changed) return;
      if (["stalled", "lost", "ended", "failed"].includes(now)) say(`${name}: ${text}`);
      if (tiles.has(name)) count();
    },
  }, () => "tile");
  tiles.set(name, { feed, item });
}
