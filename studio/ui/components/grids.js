// What is done to a grid of labels as a whole: areas filled, and labels grown, shrunk and closed.
(() => {
  /**
   * Give every point whose middle lies within a polygon (corners [[x, y]]) the value;
   * the rectangle that it touched.
   */
  function polygon(grid, width, height, corners, value) {
    const ys = corners.map(([, y]) => y), xs = corners.map(([x]) => x);
    const top = Math.max(0, Math.floor(Math.min(...ys))), bottom = Math.min(height, Math.ceil(Math.max(...ys)));
    const left = Math.max(0, Math.floor(Math.min(...xs))), right = Math.min(width, Math.ceil(Math.max(...xs)));
    for (let j = top; j < bottom; j++) {
      const y = j + 0.5, cuts = [];
      corners.forEach(([x0, y0], i) => {
        const [x1, y1] = corners[(i + 1) % corners.length];
        if (y0 <= y !== y1 <= y) cuts.push(x0 + ((y - y0) * (x1 - x0)) / (y1 - y0));
      });
      cuts.sort((a, b) => a - b);
      for (let k = 0; k + 1 < cuts.length; k += 2) {
        const from = Math.max(0, Math.ceil(cuts[k] - 0.5)), to = Math.min(width, Math.ceil(cuts[k + 1] - 0.5));
        if (from < to) grid.fill(value, j * width + from, j * width + to);
      }
    }
    return [left, top, Math.max(left, right), Math.max(top, bottom)];
  }

  /** The grid with a label a point wider on all sides, over what is empty; or, where it is to `shrink`, narrower. */
  function spread(grid, width, height, label, shrink = false) {
    const next = grid.slice();
    // beyond the edge nothing is known, so that nothing shrinks from there
    const differs = (at) => (shrink ? grid[at] !== label : grid[at] === label);
    for (let j = 0; j < height; j++) {
      const up = j > 0 ? -width : 0, down = j < height - 1 ? width : 0;
      for (let i = 0, at = j * width; i < width; i++, at++) {
        if (shrink ? grid[at] !== label : grid[at] !== 0) continue;
        const l = i > 0 ? -1 : 0, r = i < width - 1 ? 1 : 0;
        if (
          differs(at + l) || differs(at + r) || differs(at + up) || differs(at + down)
          || differs(at + up + l) || differs(at + up + r) || differs(at + down + l) || differs(at + down + r)
        ) next[at] = shrink ? 0 : label;
      }
    }
    return next;
  }

  /** The grid with all that a label encloses, where it is empty. Corners that touch enclose. */
  function closed(grid, width, height, label) {
    const outside = new Uint8Array(grid.length), stack = [];
    const visit = (at) => { if (!outside[at] && grid[at] !== label) { outside[at] = 1; stack.push(at); } };
    for (let i = 0; i < width; i++) { visit(i); visit((height - 1) * width + i); }
    for (let j = 0; j < height; j++) { visit(j * width); visit(j * width + width - 1); }
    while (stack.length) {
      const at = stack.pop(), x = at % width;
      if (x > 0) visit(at - 1);
      if (x < width - 1) visit(at + 1);
      if (at >= width) visit(at - width);
      if (at + width < grid.length) visit(at + width);
    }
    return grid.map((value, at) => (value === 0 && !outside[at] ? label : value));
  }

  atelier.grids = { polygon, spread, closed };
})();
