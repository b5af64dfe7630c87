// The network for our own kernels, as docs/browser_demo.py writes it: what it is, its layers, and the kernels.

const read = async (name) => {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer;
};

/** {model, precision, layers: how many, multiple: of which a frame's sides are, reach: rows that a pixel sees above and below}. */
export const about = await (await read("network.json")).json();

/** {layers: the image that browser.cpp reads, kernels: the module of WebAssembly}. */
export const bytes = async () => {
  const [layers, kernels] = await Promise.all(["network.bin", "kernels.wasm"].map(async (name) => (await read(name)).arrayBuffer()));
  return { layers, kernels: await WebAssembly.compile(kernels) };
};
