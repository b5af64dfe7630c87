// The page's beginning, and which view it shows: the one that the address names, the only stream, or the grid.

import "./divider.js";
import "./keys.js";
import "./pointers.js";
import "./ruler.js";
import { $, setText } from "./dom.js";
import { leaveGrid, showGrid } from "./grid.js";
import { streams, enter } from "./session.js";
import { openSingle } from "./single.js";
import { setSplit } from "./stage.js";

const POLL_MS = 1000;
let list = { names: [], absent: {}, planned: false }, feed = null;

const wanted = () => (location.hash.startsWith("#/") ? decodeURIComponent(location.hash.slice(2)) : "");

async function refresh() {
  const found = await streams();
  if (found) {
    list = found;
    route();
  } else if (!feed && document.body.dataset.view !== "login") {
    document.body.dataset.state = "lost";
    setText($("state-text"), "No stream here yet");
    setText($("notice-text"), "No stream here yet. Trying again.");
  }
}

/** Shows what the address asks for, and reconnects what was lost. */
function route() {
  const inGrid = document.body.dataset.view === "grid", asked = wanted(), { names } = list;
  const only = names.length === 1 && !inGrid ? names[0] : "";
  const name = asked && (names.includes(asked) || feed?.name === asked) ? asked : only;
  $("to-grid").hidden = !name || names.length < 2;
  if (name) showSingle(name);
  else if (names.length > 1 || inGrid) showAll();
}

function showSingle(name) {
  if (feed?.name !== name) {
    leaveGrid();
    feed?.stop();
    show("stream");
    feed = openSingle(name);
  }
  if (list.names.includes(name)) feed.follow(list.absent[name]);
}

function showAll() {
  feed?.stop();
  feed = null;
  show("grid");
  showGrid(list);
}

function show(view) {
  document.body.dataset.view = view;
  $("grid").hidden = view !== "grid";
}

window.addEventListener("hashchange", async () => {
  await enter();
  route();
});
setInterval(() => { if (!feed || feed.closed) refresh(); }, POLL_MS);
setInterval(() => { if (feed && !feed.closed) refresh(); }, 10 * POLL_MS); // others may have begun

setSplit(0.5);
await enter();
refresh();
