// Connected components of a mask, row by row, as OpenCV's connectedComponentsWithStats gives them.

/**
 * mask: bytes, not zero where a pixel belongs to something. eight: whether pixels touch at their corners, too.
 * Returns {labels: 0 where the mask is 0, count: labels with 0, area: pixels of each, boxes: [x, y, width, height] of each}.
 */
export function components(mask, width, height, eight) {
  const labels = new Int32Array(mask.length), parent = [0];
  const root = (label) => {
    while (parent[label] !== label) label = parent[label] = parent[parent[label]];
    return label;
  };
  const join = (one, other) => {
    const a = root(one), b = root(other);
    parent[Math.max(a, b)] = Math.min(a, b);
    return Math.min(a, b);
  };
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      if (!mask[at]) continue;
      let label = x ? labels[at - 1] : 0;
      const meet = (other) => { if (other) label = label ? join(label, other) : other; };
      if (y) {
        meet(labels[at - width]);
        if (eight && x) meet(labels[at - width - 1]);
        if (eight && x < width - 1) meet(labels[at - width + 1]);
      }
      labels[at] = label || parent.push(parent.length) - 1;
    }
  }
  return measured(labels, parent.map((_, label) => root(label)), width, height);
}

function measured(labels, roots, width, height) {
  const numbers = new Map([[0, 0]]), area = [0], edges = [];
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const root = roots[labels[at]];
      if (!numbers.has(root)) numbers.set(root, numbers.size);
      const label = labels[at] = numbers.get(root);
      area[label] = (area[label] ?? 0) + 1;
      const edge = edges[label] ??= [x, y, x, y];
      if (x < edge[0]) edge[0] = x;
      if (x > edge[2]) edge[2] = x;
      edge[3] = y;
    }
  }
  const boxes = Array.from(edges, ([left, top, right, bottom] = [0, 0, -1, -1]) => [left, top, right - left + 1, bottom - top + 1]);
  return { labels, count: area.length, area, boxes };
}
