// Off the page's own thread: each frame's tissue through compact-despeckle, and the frame around it as it came. By WebGPU
// where there is one that is faster, else by our own kernels in WebAssembly. ?backend=wasm or webgpu takes the one named.

import { TissueFinder } from "./finder.js";
import { about, bytes } from "./network.js";

const asked = new URL(self.location.href).searchParams;
const finder = asked.get("protect") === "none" ? null : new TissueFinder(about.reach);
let network = null;

async function open() {
  const wanted = asked.get("backend"), opened = [];
  if (wanted !== "webgpu") opened.push(await (await import("./bands.js")).open(about, bytes, asked.get("threads")));
  if (wanted !== "wasm") opened.push(...await onGraphicsCard());
  if (!opened.length) throw new Error("this browser offers no WebGPU");
  network = opened.length > 1 ? await (await import("./choice.js")).fastest(opened) : opened[0];
  return { model: about.model, backend: network.backend, precision: network.precision };
}

/** The network by WebGPU, or nothing where there is no adapter that can open it. */
async function onGraphicsCard() {
  if (!await self.navigator.gpu?.requestAdapter().catch(() => null)) return [];
  try {
    return [await (await import("./webgpu.js")).open()];
  } catch {
    return [];
  }
}

/** The frame with its tissue denoised. */
async function denoised(frame) {
  const area = finder?.area(frame);
  if (!area || area.whole) return network.run(frame, frame.strength);
  const box = area.cover(frame);
  return area.paste(frame, await network.run(box, frame.strength));
}

self.onmessage = async ({ data: frame }) => {
  try {
    const began = performance.now();
    const shown = frame.strength > 0 ? await denoised(frame) : frame.data;
    self.postMessage({ data: shown, infer: performance.now() - began }, shown === frame.data ? [] : [shown.buffer]);
  } catch (error) {
    self.postMessage({ failure: String(error.message ?? error) });
  }
};

open().then((ready) => self.postMessage({ ready }), (error) => self.postMessage({ unusable: `The network cannot run here: ${error.message ?? error}` }));
