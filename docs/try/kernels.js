// One instance of our own kernels (kernels/cpu/browser.cpp): a network on one thread, with memory of its own.

const absent = ({ name }) => [name, () => { throw new Error(`the kernels ended: ${name}`); }];

export class Kernels {
  /** kernels: a compiled module. layers: the network's image. */
  constructor(about, { layers, kernels }) {
    const imports = {};
    for (const one of WebAssembly.Module.imports(kernels)) imports[one.module] = { ...imports[one.module], ...Object.fromEntries([absent(one)]) };
    this.c = new WebAssembly.Instance(kernels, imports).exports;
    this.c._initialize?.();
    const place = this.c.browser_reserve(layers.byteLength);
    new Uint8Array(this.c.memory.buffer).set(new Uint8Array(layers), place);
    this.network = this.c.browser_open(place, about.layers);
    this.multiple = about.multiple;
    Object.assign(this, { picture: 0, rows: 0, columns: 0 });
  }

  /** Rows of 8-bit grey through the network, as many bytes back. The edges are repeated to the sizes that the network takes. */
  run({ width, height, data }, strength) {
    this.#bind(this.#whole(height), this.#whole(width));
    const at = this.c.browser_pixels(this.picture), { columns } = this;
    let pixels = new Uint8Array(this.c.memory.buffer, at, this.rows * columns);
    for (let y = 0; y < this.rows; y++) {
      const from = Math.min(y, height - 1) * width;
      pixels.set(data.subarray(from, from + width), y * columns);
      pixels.fill(data[from + width - 1], y * columns + width, (y + 1) * columns);
    }
    this.c.browser_run(this.picture, strength);
    pixels = new Uint8Array(this.c.memory.buffer, at, this.rows * columns); // memory that has grown is another buffer
    if (columns === width) return pixels.slice(0, width * height);
    const result = new Uint8Array(width * height);
    for (let y = 0; y < height; y++) result.set(pixels.subarray(y * columns, y * columns + width), y * width);
    return result;
  }

  #whole(length) {
    return Math.ceil(length / this.multiple) * this.multiple;
  }

  #bind(rows, columns) {
    if (this.rows === rows && this.columns === columns) return;
    if (this.picture) this.c.browser_unbind(this.picture);
    this.picture = this.c.browser_bind(this.network, rows, columns);
    Object.assign(this, { rows, columns });
  }
}
