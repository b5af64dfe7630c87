// Above the picture: the reader's own file, the sample, and how much of the network's change is shown.

import { $, make, setText } from "./dom.js";
import { fromFile, sample } from "./sources.js";

const followers = [];

/** source: what is streamed. strength: 0 the input, 1 the network. */
export const settings = { source: await sample(), strength: 1 };

/** Calls back when another source was chosen. */
export const whenChanged = (callback) => followers.push(callback);

function choose(source) {
  settings.source = source;
  followers.forEach((callback) => callback());
}

async function open(file) {
  setText($("try-fault"), "");
  try {
    if (file) choose(await fromFile(file));
  } catch (error) {
    setText($("try-fault"), error.message);
  }
}

const bar = make("section", { id: "try", "aria-label": "What is streamed" });
bar.innerHTML = `
  <label class="button">Your own file<input id="try-file" type="file" class="unseen" accept="video/*,image/*,.dcm,.dicom"></label>
  <button id="try-sample" type="button">Sample</button>
  <label>Strength <input id="try-strength" type="range" min="0" max="100" value="100"><output id="try-strength-value">100 %</output></label>
  <span id="try-hint">Drop a video, a picture or an uncompressed DICOM file. It stays in this browser.</span>
  <span id="try-fault" role="alert"></span>`;
document.querySelector("header").after(bar);

$("try-file").addEventListener("change", ({ target }) => open(target.files[0]));
$("try-sample").addEventListener("click", async () => choose(await sample()));
$("try-strength").addEventListener("input", ({ target }) => {
  settings.strength = target.value / 100;
  setText($("try-strength-value"), `${target.value} %`);
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  open(event.dataTransfer.files[0]);
});
