// A chart of lines over one axis, drawn as SVG: read with the pointer, or with the arrow keys while it has the focus.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const LEFT = 46, RIGHT = 10, TOP = 8, BOTTOM = 22, HEIGHT = 168;

  function drawn(name, attributes, ...inner) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...inner);
    return made;
  }

  /** Round numbers that divide low..high into about `count` parts. */
  function ticks(low, high, count) {
    const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) {
      found.push(Number((i * step).toPrecision(12)));
    }
    return found;
  }
  function short(x) {
    if (x === 0) return "0";
    return Math.abs(x) >= 1e4 || Math.abs(x) < 1e-3 ? x.toExponential(1) : String(Number(x.toPrecision(3)));
  }

  /** What of a line is read: its trend, where it has one. */
  const read = ({ points, trend }) => (trend?.length ? trend : points);

  /** The place in `points`, ordered by x, that is nearest to x. */
  function nearest(points, x) {
    let low = 0, high = points.length - 1;
    if (high < 0) return -1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < x) low = middle; else high = middle;
    }
    return x - points[low][0] <= points[high][0] - x ? low : high;
  }

  /**
   * Make `box` a chart called `title`. `show(series, from, to)` draws series = [{name, points: [[x, y]], trend}], each
   * ordered by x, where x goes at least from..to; `unit` is x's. Lines keep the colour of their place in the list.
   * Where a line has a `trend` of points, that is drawn and read, and the line itself lies behind all, faintly.
   */
  atelier.chart = (box, { title, unit, zero = false }) => {
    const head = document.createElement("p"), name = document.createElement("b");
    const legend = document.createElement("span");
    const svg = drawn("svg", { role: "img", tabindex: 0, height: HEIGHT });
    box.classList.add("chart");
    head.className = "chart-head";
    legend.className = "chart-legend";
    name.textContent = title;
    head.append(name, legend);
    box.replaceChildren(head, svg);
    let series = [], span = [0, 1], cursor = null, scale = null;

    function draw() {
      const width = Math.round(svg.clientWidth || box.clientWidth);
      const found = series.filter(({ points }) => points.length);
      if (!width || !found.length) { svg.replaceChildren(); return; }
      const ys = found.flatMap(({ points }) => points.map(([, y]) => y));
      let low = ys.reduce((a, b) => Math.min(a, b)), high = ys.reduce((a, b) => Math.max(a, b));
      if (zero) low = Math.min(0, low);
      if (low === high) [low, high] = [low - 0.5 * Math.abs(low || 1), high + 0.5 * Math.abs(high || 1)];
      const [from, to] = span[0] < span[1] ? span : [span[0], span[0] + 1];
      const px = (x) => LEFT + ((x - from) / (to - from)) * (width - LEFT - RIGHT);
      const py = (y) => TOP + ((high - y) / (high - low)) * (HEIGHT - TOP - BOTTOM);
      scale = { from, to, width, px, py };
      const grid = ticks(low, high, 4).flatMap((y) => [
        drawn("line", { class: "chart-grid", x1: LEFT, x2: width - RIGHT, y1: py(y), y2: py(y) }),
        drawn("text", { x: LEFT - 6, y: py(y) + 3.5, "text-anchor": "end" }, short(y)),
      ]);
      const feet = ticks(from, to, Math.max(2, Math.floor(width / 110)));
      const axis = feet.map((x, i) => {
        const last = i === feet.length - 1, outside = last && px(x) > width - 34;
        const place = { x: outside ? width - 2 : px(x), y: HEIGHT - 5, "text-anchor": outside ? "end" : "middle" };
        return drawn("text", place, last ? `${short(x)} ${unit}` : short(x));
      });
      const drawLine = (points, i, style) => {
        if (points.length === 1) return dot(points[0], i, 2.5);
        const path = points.map(([x, y], k) => `${k ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");
        return drawn("path", { class: `${style} chart-line-${i}`, d: path });
      };
      const behind = series.flatMap(({ points, trend }, i) => (trend?.length ? [drawLine(points, i, "chart-faint")] : []));
      const lines = series.map((line, i) => drawLine(read(line), i, ""));
      svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
      svg.replaceChildren(...grid, ...axis, ...behind, ...lines);
      mark();
    }

    const dot = ([x, y], i, r, style = "") => (
      drawn("circle", { class: `${style} chart-dot chart-line-${i}`, cx: scale.px(x), cy: scale.py(y), r })
    );

    // What stands at the cursor, or at the end where there is none.
    function mark() {
      for (const old of svg.querySelectorAll(".chart-mark")) old.remove();
      const at = cursor === null ? Infinity : cursor;
      const values = series.map((line) => ({ ...line, point: read(line)[nearest(read(line), at)] }));
      const known = values.filter(({ point }) => point);
      legend.replaceChildren(...values.flatMap(({ name, point }, i) => {
        if (!point) return [];
        const entry = document.createElement("span");
        entry.className = `chart-entry chart-line-${i}`;
        entry.textContent = `${name} ${short(point[1])}`;
        return [entry];
      }));
      if (!known.length || !scale) return;
      const nearer = (best, { point: [x] }) => (Math.abs(x - at) < Math.abs(best - at) ? x : best);
      const x = known.reduce(nearer, known[0].point[0]);
      const words = known.map(({ name, point }) => `${name} ${short(point[1])}`).join(", ");
      const said = `${short(x)} ${unit}`;
      svg.setAttribute("aria-label", atelier.t("chart.says", { title, values: words, at: said }));
      if (cursor === null) return;
      svg.append(
        drawn("line", { class: "chart-mark", x1: scale.px(x), x2: scale.px(x), y1: TOP, y2: HEIGHT - BOTTOM }),
        drawn("text", { class: "chart-mark", x: Math.min(scale.px(x) + 5, scale.width - 60), y: TOP + 9 }, said),
        ...values.flatMap(({ point }, i) => (point ? [dot(point, i, 3.5, "chart-mark")] : [])),
      );
    }

    svg.addEventListener("pointermove", (event) => {
      if (!scale) return;
      const place = (event.clientX - svg.getBoundingClientRect().left - LEFT) / (scale.width - LEFT - RIGHT);
      cursor = scale.from + Math.min(1, Math.max(0, place)) * (scale.to - scale.from);
      mark();
    });
    for (const end of ["pointerleave", "blur"]) svg.addEventListener(end, () => { cursor = null; mark(); });
    svg.addEventListener("keydown", (event) => {
      const longest = series.map(read).reduce((best, points) => (points.length > best.length ? points : best), []);
      if (!longest.length) return;
      const i = nearest(longest, cursor ?? Infinity), by = event.shiftKey ? 10 : 1;
      const next = { ArrowLeft: i - by, ArrowRight: i + by, Home: 0, End: longest.length - 1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      cursor = longest[Math.min(longest.length - 1, Math.max(0, next))][0];
      mark();
    });
    new ResizeObserver(draw).observe(box);

    return {
      show(lines, from, to) {
        series = lines;
        span = [from, to];
        box.hidden = !lines.some(({ points }) => points.length);
        draw();
      },
    };
  };
})();
