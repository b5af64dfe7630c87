// 8-bit grey or RGB → canvas.

const rgba = (grey) => 0xff000000 | (grey << 16) | (grey << 8) | grey;

/** The grey level on the screen of each of the 256 in the picture: unchanged. */
export const IDENTITY = Uint32Array.from({ length: 256 }, (_, grey) => rgba(grey));

/** The same with brightness (percent of the grey scale, added) and contrast (percent, about middle grey). */
export const levels = (brightness, contrast) => Uint32Array.from({ length: 256 }, (_, grey) => {
  const shown = (grey - 127.5) * (contrast / 100) + 127.5 + 2.55 * brightness;
  return rgba(Math.round(Math.min(255, Math.max(0, shown))));
});

/** A canvas that holds one picture; its memory is kept while the size stays. */
export class Plate {
  canvas = document.createElement("canvas");
  #context = this.canvas.getContext("2d", { alpha: false });
  #image = null;

  show({ width, height, data }, grey = IDENTITY) {
    if (!width || !height) return;
    if (this.#image?.width !== width || this.#image.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.#image = this.#context.createImageData(width, height);
      this.rgba = new Uint32Array(this.#image.data.buffer);
    }
    const rgba = this.rgba;
    if (data.length === rgba.length) for (let i = 0; i < data.length; i++) rgba[i] = grey[data[i]];
    else for (let i = 0, at = 0; i < rgba.length; i++, at += 3) {
      rgba[i] = 0xff000000 | ((grey[data[at + 2]] & 255) << 16) | ((grey[data[at + 1]] & 255) << 8) | (grey[data[at]] & 255);
    }
    this.#context.putImageData(this.#image, 0, 0);
  }
}
