// Off the page's own thread: each frame's tissue through compact-despeckle, and the frame around it as it came. By WebGPU
// where there is one, else by our own kernels in WebAssembly.

import { TissueFinder } from "./finder.js";
import { about, bytes } from "./network.js";

const asked = new URL(self.location.href).searchParams;
const finder = asked.get("protect") === "none" ? null : new TissueFinder(about.reach);
let network = null;

async function open() {
  if (asked.get("backend") !== "wasm" && await self.navigator.gpu?.requestAdapter().catch(() => null)) {
    try {
      network = await (await import("./webgpu.js")).open();
      return { model: about.model, backend: "WebGPU", precision: "fp32" };
    } catch {
      // an adapter that lacks what the network needs
    }
  }
  network = await (await import("./bands.js")).open(about, bytes, asked.get("threads"));
  return { model: about.model, backend: `WebAssembly, ${network.threads} ${network.threads === 1 ? "thread" : "threads"}`, precision: about.precision };
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
