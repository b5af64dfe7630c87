// One of the threads of bands.js: the network, then rows and rows.

import { Kernels } from "./kernels.js";

let kernels = null;

self.onmessage = ({ data: { about, bytes, ...band } }) => {
  try {
    if (about) kernels = new Kernels(about, bytes);
    else {
      const rows = kernels.run(band, band.strength);
      self.postMessage({ rows }, [rows.buffer]);
    }
  } catch (error) {
    self.postMessage({ failure: String(error.message ?? error) });
  }
};
