// The network, off the page's own thread: compact-despeckle in onnxruntime-web, by WebGPU where there is one, else by
// WebAssembly with SIMD, and with threads where the page is isolated (see isolate.js).

const MODEL = "model.onnx", MULTIPLE = 4, THREADS = 4;
let session = null, ort = null, size = [0, 0], input = null;

async function open() {
  const asked = new URL(self.location.href).searchParams.get("backend");
  if (asked !== "wasm" && await self.navigator.gpu?.requestAdapter().catch(() => null)) {
    try {
      return await openWith("./ort/ort.webgpu.min.mjs", "webgpu", "WebGPU");
    } catch {
      // an adapter that lacks what the network needs
    }
  }
  const threads = self.crossOriginIsolated ? Math.min(THREADS, self.navigator.hardwareConcurrency || 1) : 1;
  return openWith("./ort/ort.wasm.min.mjs", "wasm", `WebAssembly, ${threads} ${threads === 1 ? "thread" : "threads"}`, threads);
}

async function openWith(library, provider, backend, threads = 1) {
  ort = await import(library);
  ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
  ort.env.wasm.numThreads = threads;
  session = await ort.InferenceSession.create(new URL(MODEL, import.meta.url).href, { executionProviders: [provider] });
  return { model: "compact-despeckle", backend, precision: "fp32" };
}

/** 8-bit grey → float32 in [0, 1], the edges repeated until both sides are a multiple of MULTIPLE. */
function prepare({ width, height, data }) {
  const rows = Math.ceil(height / MULTIPLE) * MULTIPLE, columns = Math.ceil(width / MULTIPLE) * MULTIPLE;
  if (size[0] !== rows || size[1] !== columns) {
    size = [rows, columns];
    input = new Float32Array(rows * columns);
  }
  for (let y = 0, at = 0; y < rows; y++) {
    const row = Math.min(y, height - 1) * width;
    for (let x = 0; x < columns; x++, at++) input[at] = data[row + Math.min(x, width - 1)] / 255;
  }
  return new ort.Tensor("float32", input, [1, 1, rows, columns]);
}

/** strength · network + (1 − strength) · frame, in 8-bit grey and the frame's own size. */
function blend(result, { width, height, data, strength }) {
  const shown = new Uint8Array(width * height), columns = size[1];
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0, from = y * columns; x < width; x++, at++, from++) {
      const value = strength * 255 * result[from] + (1 - strength) * data[at];
      shown[at] = value < 0 ? 0 : value > 255 ? 255 : Math.round(value);
    }
  }
  return shown;
}

self.onmessage = async ({ data: frame }) => {
  try {
    const began = performance.now();
    let shown = frame.data;
    if (frame.strength > 0) {
      const results = await session.run({ [session.inputNames[0]]: prepare(frame) });
      shown = blend(await results[session.outputNames[0]].getData(), frame);
    }
    self.postMessage({ data: shown, infer: performance.now() - began });
  } catch (error) {
    self.postMessage({ failure: String(error.message ?? error) });
  }
};

open().then((ready) => self.postMessage({ ready }), (error) => self.postMessage({ unusable: `The network cannot run here: ${error.message ?? error}` }));
