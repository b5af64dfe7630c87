// The network on the graphics card, by onnxruntime-web.

const MULTIPLE = 4;

export async function open() {
  const ort = await import("./ort/ort.webgpu.min.mjs");
  ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
  ort.env.wasm.numThreads = 1;
  return new Session(ort, await ort.InferenceSession.create(new URL("model.onnx", import.meta.url).href, { executionProviders: ["webgpu"] }));
}

class Session {
  constructor(ort, session) {
    Object.assign(this, { ort, session, size: [0, 0], input: null, backend: "WebGPU", precision: "fp32" });
  }

  close() {
    this.session.release();
  }

  /** strength · network + (1 − strength) · picture, in 8-bit grey; {width, height, data} → its bytes. */
  async run(picture, strength) {
    const results = await this.session.run({ [this.session.inputNames[0]]: this.#prepared(picture) });
    return this.#blended(await results[this.session.outputNames[0]].getData(), picture, strength);
  }

  /** 8-bit grey → float32 in [0, 1], the edges repeated until both sides are a multiple of MULTIPLE. */
  #prepared({ width, height, data }) {
    const rows = Math.ceil(height / MULTIPLE) * MULTIPLE, columns = Math.ceil(width / MULTIPLE) * MULTIPLE;
    if (this.size[0] !== rows || this.size[1] !== columns) {
      this.size = [rows, columns];
      this.input = new Float32Array(rows * columns);
    }
    for (let y = 0, at = 0; y < rows; y++) {
      const row = Math.min(y, height - 1) * width;
      for (let x = 0; x < columns; x++, at++) this.input[at] = data[row + Math.min(x, width - 1)] / 255;
    }
    return new this.ort.Tensor("float32", this.input, [1, 1, rows, columns]);
  }

  #blended(result, { width, height, data }, strength) {
    const shown = new Uint8ClampedArray(width * height), columns = this.size[1]; // which rounds and clips
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0, from = y * columns; x < width; x++, at++, from++) shown[at] = strength * 255 * result[from] + (1 - strength) * data[at];
    }
    return new Uint8Array(shown.buffer);
  }
}
