// 8-bit grey → canvas.

const GREY = Uint32Array.from({ length: 256 }, (_, v) => 0xff000000 | (v << 16) | (v << 8) | v);

/** A canvas that holds one picture; its memory is kept while the size stays. */
export class Plate {
  canvas = document.createElement("canvas");
  #context = this.canvas.getContext("2d", { alpha: false });
  #image = null;

  show({ width, height, data }) {
    if (!width || !height) return;
    if (this.#image?.width !== width || this.#image.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.#image = this.#context.createImageData(width, height);
      this.rgba = new Uint32Array(this.#image.data.buffer);
    }
    const rgba = this.rgba;
    for (let i = 0; i < data.length; i++) rgba[i] = GREY[data[i]];
    this.#context.putImageData(this.#image, 0, 0);
  }
}
