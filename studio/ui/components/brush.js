// A mask painted over a picture: labels on a grid of its own, drawn with the mouse, a pen, fingers or the keyboard.
//
// Labels are whole numbers, 0 where nothing is painted. They are kept apart from what is seen, so that no
// edge is ever a mixture of two; as a file they are grey levels 32 apart, which survive browsers that
// blur what a page reads back.
(() => {
  const LEVEL = 32;
  const LONGEST = 2048; // px; larger pictures get a coarser mask, whose edges the server smooths
  const FAR = 8; // points that a label grows by with Shift held
  const NEAR = 9; // px on the screen; a polygon's corner that is clicked again ends it
  const SAVED = 100e6; // px; masks of larger pictures are saved as they were painted
  const SVG = "http://www.w3.org/2000/svg";
  const UNDO_BYTES = 48 << 20;
  const MAX_ZOOM = 8;
  const TOOLS = `
    <div class="brush-labels" role="group" data-t-label="brush.labels"></div>
    <span class="brush-group" role="group" data-t-label="brush.shapes">
      <button type="button" data-brush="brush" data-t="brush.brush" aria-pressed="true"></button>
      <button type="button" data-brush="rectangle" data-t="brush.rectangle" aria-pressed="false"></button>
      <button type="button" data-brush="polygon" data-t="brush.polygon" aria-pressed="false"></button>
    </span>
    <button type="button" data-brush="erase" data-t="brush.erase" aria-pressed="false"></button>
    <label class="brush-size"><span data-t="brush.size"></span><input type="range" min="1" max="100" step="1"></label>
    <span class="brush-group">
      <button type="button" data-brush="undo" data-t="live.undo" disabled></button>
      <button type="button" data-brush="redo" data-t="live.redo" disabled></button>
      <button type="button" data-brush="clear" data-t="brush.clear" disabled></button>
      <button type="button" data-brush="invert" data-t="brush.invert"></button>
    </span>
    <span class="brush-group">
      <button type="button" data-brush="grow" data-t="brush.grow" data-t-title="brush.grow_help"></button>
      <button type="button" data-brush="shrink" data-t="brush.shrink" data-t-title="brush.grow_help"></button>
      <button type="button" data-brush="close" data-t="brush.close" data-t-title="brush.close_help"></button>
    </span>
    <span class="brush-group">
      <button type="button" data-brush="upload" data-t="brush.upload" data-t-title="brush.upload_help"></button>
      <button type="button" data-brush="download" data-t="brush.download" data-t-title="brush.download_help"></button>
    </span>
    <span class="brush-group">
      <button type="button" data-brush="out" data-t-label="brush.out">−</button>
      <button type="button" data-brush="fit" data-t="brush.fit"></button>
      <button type="button" data-brush="in" data-t-label="brush.in">+</button>
    </span>
    <input type="file" accept="image/*" data-t-label="brush.upload" tabindex="-1" hidden>
    <p class="brush-ask" role="alertdialog" hidden><span></span>
      <button type="button" data-brush="stretch" data-t="brush.stretch"></button>
      <button type="button" data-brush="cancel" data-t="brush.cancel"></button></p>
    <p class="brush-help" data-t="brush.help"></p>`;

  /**
   * `frame` shows a part of `sheet`, which holds the picture; the canvas is laid on it. `tools` becomes the tool bar.
   * labels: [{value, name, colour}], colours as "#rrggbb". changed(file) gets the mask as a PNG, or null when it is
   * empty; failed(sentence) what an uploaded mask has wrong, noted(sentence) how it was understood. longest: px of
   * the mask. white: there is one label, and as a file the mask is black and white. name(): of a mask that is saved.
   */
  atelier.brush = ({
    frame, sheet, tools, labels, changed, failed = () => {}, noted = () => {}, longest = LONGEST, white = false,
    name = () => "mask.png",
  }) => {
    tools.innerHTML = TOOLS;
    tools.setAttribute("role", "toolbar");
    tools.dataset.tLabel = "brush.tools";
    atelier.translate(tools.parentElement);
    const canvas = document.createElement("canvas");
    const ring = document.createElement("div");
    canvas.className = "brush-canvas";
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", atelier.t("brush.canvas"));
    ring.className = "brush-ring";
    const sketch = document.createElementNS(SVG, "svg"); // the shape that is being drawn
    sketch.setAttribute("class", "brush-sketch");
    sketch.setAttribute("preserveAspectRatio", "none");
    for (const kind of ["brush-under", "brush-over"]) {
      sketch.append(document.createElementNS(SVG, "polygon"));
      sketch.lastChild.setAttribute("class", kind);
    }
    sheet.append(canvas, sketch, ring);
    const context = canvas.getContext("2d");
    const tool = (name) => tools.querySelector(`[data-brush=${name}]`);
    const size = tools.querySelector("input[type=range]");
    const chooser = tools.querySelector("input[type=file]");
    const ask = tools.querySelector(".brush-ask");

    let on = false;
    let width = 0, height = 0; // of the grid
    let picture = [0, 0]; // px of the picture
    let grid = new Uint8Array(0);
    let palette = new Uint32Array(8);
    let label = labels[0]?.value ?? 1;
    let erasing = false;
    let shape = "brush"; // or rectangle, polygon
    let corners = []; // of the shape that is being drawn, on the grid; a rectangle's are two
    let past = [], future = [];
    let cursor = null; // {x, y} on the grid, while the keyboard draws
    let penDown = false;
    let offered = null; // an uploaded mask of another shape, until the person decides
    let telling = null;
    let told = Promise.resolve(); // done once the mask is where it was told to

    size.value = atelier.recall("brush.size") ?? 24;
    atelier.fillTrack(size);
    const radius = () => Math.max(0.5, ((size.value / 100) ** 2 * Math.max(width, height)) / 4);

    // ---- the grid and what is seen of it

    function open(pictureWidth, pictureHeight) {
      const scale = Math.min(1, longest / Math.max(pictureWidth, pictureHeight));
      const w = Math.max(1, Math.round(pictureWidth * scale)), h = Math.max(1, Math.round(pictureHeight * scale));
      picture = [pictureWidth, pictureHeight];
      if (w === width && h === height) return;
      width = canvas.width = w;
      height = canvas.height = h;
      reset(new Uint8Array(w * h));
      zoomTo(1);
    }

    function reset(values) {
      hush();
      grid = values;
      corners = [];
      past = [];
      future = [];
      cursor = null;
      penDown = false;
      draw(0, 0, width, height);
      light();
    }

    function draw(x, y, w, h) {
      if (!w || !h) return;
      const seen = context.createImageData(w, h);
      const dots = new Uint32Array(seen.data.buffer);
      for (let j = 0; j < h; j++) {
        const from = (y + j) * width + x;
        for (let i = 0; i < w; i++) dots[j * w + i] = palette[grid[from + i]];
      }
      context.putImageData(seen, x, y);
    }

    function setLabels(next) {
      labels = next;
      palette = new Uint32Array(8);
      for (const { value, colour } of labels) {
        const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
        palette[value] = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
      }
      if (!labels.some(({ value }) => value === label)) label = labels[0]?.value ?? 1;
      const focused = tools.querySelector(".brush-labels").contains(document.activeElement) ? label : null;
      tools.querySelector(".brush-labels").replaceChildren(...labels.map(({ value, name, colour }, i) => {
        const choice = document.createElement("button");
        choice.type = "button";
        choice.dataset.label = value;
        choice.style.setProperty("--swatch", colour);
        choice.textContent = name;
        choice.title = `${name} (${i + 1})`;
        return choice;
      }));
      if (focused !== null) tools.querySelector(`[data-label="${focused}"]`)?.focus();
      draw(0, 0, width, height);
      light();
    }

    function light() {
      for (const choice of tools.querySelectorAll("[data-label]")) {
        choice.setAttribute("aria-pressed", !erasing && Number(choice.dataset.label) === label);
      }
      tool("erase").setAttribute("aria-pressed", erasing);
      for (const kind of ["brush", "rectangle", "polygon"]) tool(kind).setAttribute("aria-pressed", shape === kind);
      size.closest("label").hidden = shape !== "brush";
      tool("undo").disabled = !past.length;
      tool("redo").disabled = !future.length;
      for (const kind of ["clear", "grow", "shrink", "close", "download"]) tool(kind).disabled = empty();
      showRing();
      showSketch();
    }
    function empty() { // several times as fast as some(), which counts where the grid is large
      for (let i = 0; i < grid.length; i++) if (grid[i]) return false;
      return true;
    }

    // ---- strokes

    let stroke = null; // {before: the whole grid as it was, box, from}

    function begin(x, y) {
      if (shape === "polygon") return corner(x, y);
      if (shape === "rectangle") { corners = [[x, y], [x, y]]; return; }
      stroke = { before: grid.slice(), box: [width, height, 0, 0], from: [x, y] };
      extend(x, y);
    }

    // Every point of the grid within a radius of the way from the last place to this one.
    function extend(x, y) {
      const [x0, y0] = stroke.from;
      const r = radius(), value = erasing ? 0 : label;
      const left = Math.max(0, Math.floor(Math.min(x0, x) - r));
      const right = Math.min(width - 1, Math.ceil(Math.max(x0, x) + r));
      const top = Math.max(0, Math.floor(Math.min(y0, y) - r));
      const bottom = Math.min(height - 1, Math.ceil(Math.max(y0, y) + r));
      stroke.from = [x, y];
      if (left > right || top > bottom) return;
      const dx = x - x0, dy = y - y0, length = dx * dx + dy * dy || 1;
      for (let j = top; j <= bottom; j++) {
        for (let i = left; i <= right; i++) {
          const px = i + 0.5 - x0, py = j + 0.5 - y0;
          const along = Math.min(1, Math.max(0, (px * dx + py * dy) / length));
          const ex = px - along * dx, ey = py - along * dy;
          if (ex * ex + ey * ey <= r * r) grid[j * width + i] = value;
        }
      }
      const box = stroke.box;
      stroke.box = [
        Math.min(box[0], left), Math.min(box[1], top), Math.max(box[2], right + 1), Math.max(box[3], bottom + 1),
      ];
      draw(left, top, right - left + 1, bottom - top + 1);
    }

    function end() {
      if (shape === "rectangle" && corners.length) return finish();
      if (!stroke) return;
      const { before, box } = stroke;
      stroke = null;
      remember(before, box);
    }

    function abandon() {
      if (shape === "rectangle") corners = [];
      if (shape === "polygon") corners.pop(); // the first of two fingers set it
      showSketch();
      if (!stroke) return;
      grid = stroke.before;
      stroke = null;
      draw(0, 0, width, height);
    }

    // ---- rectangles and polygons

    function corner(x, y) {
      const px = canvas.getBoundingClientRect().width / width;
      const near = ([cx, cy]) => Math.hypot(cx - x, cy - y) * px < NEAR;
      if (corners.length > 2 && (near(corners[0]) || near(corners.at(-1)))) return finish();
      corners.push([x, y]);
      showSketch();
    }
    const outline = () => {
      if (shape === "polygon" || !corners.length) return corners;
      const [[x0, y0], [x1, y1]] = corners;
      return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
    };
    function finish() {
      const shape = outline(), before = grid.slice();
      corners = [];
      showSketch();
      if (shape.length < 3) return;
      const box = atelier.grids.polygon(grid, width, height, shape, erasing ? 0 : label);
      draw(box[0], box[1], box[2] - box[0], box[3] - box[1]);
      remember(before, box);
    }
    function showSketch(at = null) {
      sketch.toggleAttribute("hidden", !corners.length);
      if (!corners.length) return;
      sketch.setAttribute("viewBox", `0 0 ${width} ${height}`);
      const points = at && shape === "polygon" ? [...corners, at] : outline();
      for (const line of sketch.children) line.setAttribute("points", points.map((point) => point.join()).join(" "));
    }

    // ---- undo: the rectangle that changed, as it was

    const cut = (from, [x, y, r, b]) => {
      const piece = new Uint8Array((r - x) * (b - y));
      for (let j = y; j < b; j++) piece.set(from.subarray(j * width + x, j * width + r), (j - y) * (r - x));
      return piece;
    };
    function remember(before, box) {
      if (box[0] >= box[2]) return;
      const was = cut(before, box), is = cut(grid, box);
      if (was.every((value, i) => value === is[i])) return;
      past.push({ box, piece: was });
      future = [];
      let bytes = past.reduce((sum, { piece }) => sum + piece.length, 0);
      while (bytes > UNDO_BYTES && past.length > 1) bytes -= past.shift().piece.length;
      touched();
    }
    function travel(from, to) {
      const step = from.pop();
      if (!step) return;
      const [x, y, r, b] = step.box;
      to.push({ box: step.box, piece: cut(grid, step.box) });
      for (let j = y; j < b; j++) {
        grid.set(step.piece.subarray((j - y) * (r - x), (j - y + 1) * (r - x)), j * width + x);
      }
      draw(x, y, r - x, b - y);
      touched();
    }
    function replace(values) {
      const before = grid;
      grid = values;
      draw(0, 0, width, height);
      remember(before, [0, 0, width, height]);
      light();
    }

    // ---- as a file

    function touched() {
      light();
      clearTimeout(telling);
      telling = setTimeout(tell, 120);
    }
    function hush() {
      clearTimeout(telling);
      telling = null;
    }
    function tell() {
      hush();
      told = file().then(changed);
    }
    const level = (value) => (white ? (value === label ? 255 : 0) : value * LEVEL);

    async function file() {
      if (empty()) return null;
      const paper = new OffscreenCanvas(width, height);
      const ink = paper.getContext("2d");
      const levels = ink.createImageData(width, height);
      const dots = new Uint32Array(levels.data.buffer);
      for (let i = 0; i < grid.length; i++) dots[i] = (0xff000000 | (level(grid[i]) * 0x010101)) >>> 0;
      ink.putImageData(levels, 0, 0);
      return new File([await paper.convertToBlob({ type: "image/png" })], "mask.png", { type: "image/png" });
    }

    // For other programs: what is chosen is white, at the picture's own size.
    async function download() {
      const small = new OffscreenCanvas(width, height);
      const levels = small.getContext("2d").createImageData(width, height);
      const dots = new Uint32Array(levels.data.buffer);
      for (let i = 0; i < grid.length; i++) dots[i] = grid[i] === label ? 0xffffffff : 0xff000000;
      small.getContext("2d").putImageData(levels, 0, 0);
      const paper = picture[0] * picture[1] > SAVED ? small : new OffscreenCanvas(...picture);
      if (paper !== small) {
        const ink = paper.getContext("2d");
        ink.imageSmoothingEnabled = false;
        ink.drawImage(small, 0, 0, ...picture);
      }
      atelier.files.save(await paper.convertToBlob({ type: "image/png" }), name());
    }

    const pixelsOf = (picture) => {
      const paper = new OffscreenCanvas(width, height);
      const ink = paper.getContext("2d", { willReadFrequently: true });
      ink.fillRect(0, 0, width, height);
      ink.drawImage(picture, 0, 0, width, height);
      return ink.getImageData(0, 0, width, height).data;
    };

    /** Show a mask that `changed` once gave, or none; nobody is told. */
    async function load(blob) {
      if (!blob) return reset(new Uint8Array(width * height));
      const picture = await createImageBitmap(blob, { colorSpaceConversion: "none" });
      const data = pixelsOf(picture);
      const one = (value) => (value >= 128 ? label : 0);
      const many = (value) => Math.min(7, Math.round(value / LEVEL));
      const read = white ? one : many;
      reset(Uint8Array.from(grid, (_, i) => read(data[4 * i])));
    }

    // A picture from elsewhere: its light parts become the label that is chosen.
    async function upload(blob) {
      if (!blob) return;
      let picture;
      try { picture = await createImageBitmap(blob); } catch {
        return failed(atelier.t("brush.no_picture", { name: blob.name }));
      }
      if (Math.abs(Math.log((picture.width * height) / (picture.height * width))) < 0.02) return take(picture);
      offered = picture;
      const sides = { mask: `${picture.width} × ${picture.height}`, picture: `${width} × ${height}` };
      ask.querySelector("span").textContent = atelier.t("brush.other_size", sides);
      ask.hidden = false;
      tool("stretch").focus();
    }
    function take(picture) {
      const data = pixelsOf(picture);
      let greys = 0;
      replace(Uint8Array.from(grid, (old, i) => {
        const light = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
        if (light > 8 && light < 247) greys++; // but for what JPEG makes of black and white
        return light >= 128 ? label : old === label ? 0 : old;
      }));
      if (picture.width !== width || picture.height !== height) { // which makes greys of its own
        const sides = { mask: `${picture.width} × ${picture.height}`, grid: `${width} × ${height}` };
        return noted(atelier.t("brush.scaled", sides));
      }
      const share = (100 * greys) / grid.length;
      if (greys) noted(atelier.t("brush.greys", { share: share < 0.1 ? "< 0.1" : share.toFixed(1) }));
    }
    function decide(stretch) {
      if (stretch && offered) take(offered);
      offered = null;
      ask.hidden = true;
      if (on) canvas.focus();
    }

    // ---- zoom: the sheet is moved and scaled under its frame

    let zoom = 1, panX = 0, panY = 0; // px of the frame
    function zoomTo(scale, clientX, clientY, dx = 0, dy = 0) {
      const place = frame.getBoundingClientRect();
      const x = (clientX ?? place.left + place.width / 2) - place.left;
      const y = (clientY ?? place.top + place.height / 2) - place.top;
      const next = Math.min(MAX_ZOOM, Math.max(1, scale));
      panX = x - ((x - panX - dx) * next) / zoom;
      panY = y - ((y - panY - dy) * next) / zoom;
      zoom = next;
      panBy(0, 0);
    }
    function panBy(dx, dy) {
      const w = sheet.offsetWidth * zoom, h = sheet.offsetHeight * zoom;
      panX = Math.min(0, Math.max(frame.clientWidth - w, panX + dx));
      panY = Math.min(0, Math.max(frame.clientHeight - h, panY + dy));
      sheet.style.transform = zoom === 1 ? "" : `translate(${panX}px, ${panY}px) scale(${zoom})`;
      frame.classList.toggle("zoomed", zoom > 1);
      frame.style.setProperty("--zoom", zoom); // the divider's place on the picture depends on both
      frame.style.setProperty("--pan", `${panX}px`);
      tool("fit").disabled = tool("out").disabled = zoom === 1;
      tool("in").disabled = zoom === MAX_ZOOM;
      showRing();
    }

    // ---- pointers: one paints, two move and zoom

    const toGrid = (event) => {
      const place = canvas.getBoundingClientRect();
      return [
        ((event.clientX - place.left) * width) / place.width, ((event.clientY - place.top) * height) / place.height,
      ];
    };
    const fingers = new Map();
    let pinch = null;

    canvas.addEventListener("pointerdown", (event) => {
      if (!on || event.button > 1) return;
      event.preventDefault();
      event.stopPropagation();
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      cursor = null;
      penDown = false;
      if (fingers.size > 1 || event.button === 1) { abandon(); pinch = spread(); } else begin(...toGrid(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      hover(event);
      if (!fingers.has(event.pointerId)) return;
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      if (pinch) {
        const now = spread();
        const by = now.span && pinch.span ? now.span / pinch.span : 1;
        zoomTo(zoom * by, now.x, now.y, now.x - pinch.x, now.y - pinch.y);
        pinch = now;
      } else if (stroke) {
        for (const part of event.getCoalescedEvents?.() ?? [event]) extend(...toGrid(part));
      } else if (shape === "rectangle" && corners.length) {
        corners[1] = toGrid(event);
        showSketch();
      }
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, (event) => {
        fingers.delete(event.pointerId);
        if (!fingers.size) pinch = null;
        if (kind === "pointercancel") abandon(); else end();
      });
    }
    function spread() {
      const [a, b = a] = [...fingers.values()];
      return { x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2, span: Math.hypot(a[0] - b[0], a[1] - b[1]) };
    }
    frame.addEventListener("wheel", (event) => {
      if (!width || !(event.ctrlKey || zoom > 1)) return;
      event.preventDefault();
      if (event.ctrlKey) zoomTo(zoom * 1.002 ** -event.deltaY, event.clientX, event.clientY);
      else panBy(event.shiftKey ? -event.deltaY : -event.deltaX, event.shiftKey ? 0 : -event.deltaY);
    }, { passive: false });

    // ---- the ring that shows where and how wide

    let hovered = null;
    function hover(event) {
      hovered = event.pointerType === "touch" ? null : toGrid(event);
      showRing();
      showSketch(hovered);
    }
    canvas.addEventListener("pointerleave", () => { hovered = null; showRing(); });
    canvas.addEventListener("blur", () => { lift(); cursor = null; showRing(); });
    function showRing() {
      const at = cursor ? [cursor.x, cursor.y] : hovered;
      ring.hidden = !on || !at || (shape !== "brush" && !cursor);
      if (ring.hidden) return;
      const side = shape === "brush" ? (2 * radius() * canvas.offsetWidth) / width : NEAR / zoom;
      ring.style.width = ring.style.height = `${side}px`;
      ring.style.left = `${(at[0] / width) * canvas.offsetWidth}px`;
      ring.style.top = `${(at[1] / height) * canvas.offsetHeight}px`;
      ring.style.setProperty("--line", `${1 / zoom}px`);
      ring.classList.toggle("down", penDown);
    }

    // ---- keys

    function lift() {
      if (!penDown) return;
      penDown = false;
      end();
    }
    function step(dx, dy, far) {
      cursor ??= { x: width / 2, y: height / 2 };
      const by = far ? 4 * Math.max(radius(), 2) : Math.max(radius() / 2, 1);
      cursor.x = Math.min(width, Math.max(0, cursor.x + dx * by));
      cursor.y = Math.min(height, Math.max(0, cursor.y + dy * by));
      if (penDown) extend(cursor.x, cursor.y);
      else if (shape === "rectangle" && corners.length) corners[1] = [cursor.x, cursor.y];
      showSketch([cursor.x, cursor.y]);
      const place = canvas.getBoundingClientRect(), seen = frame.getBoundingClientRect();
      const x = place.left + (cursor.x / width) * place.width, y = place.top + (cursor.y / height) * place.height;
      panBy(
        Math.max(0, seen.left - x) - Math.max(0, x - seen.right),
        Math.max(0, seen.top - y) - Math.max(0, y - seen.bottom),
      );
    }
    const resize = (by) => { size.value = Number(size.value) + by; sized(); };
    const sized = () => {
      atelier.keep("brush.size", Number(size.value));
      atelier.fillTrack(size);
      showRing();
    };
    const keys = {
      ArrowLeft: (far) => step(-1, 0, far), ArrowRight: (far) => step(1, 0, far),
      ArrowUp: (far) => step(0, -1, far), ArrowDown: (far) => step(0, 1, far),
      " "() {
        if (penDown) return lift();
        step(0, 0);
        if (shape === "rectangle" && corners.length) return finish();
        if (shape !== "brush") return begin(cursor.x, cursor.y);
        penDown = true;
        begin(cursor.x, cursor.y);
      },
      "[": () => resize(-4), "]": () => resize(4),
      b: () => draws("brush"), r: () => draws("rectangle"), p: () => draws("polygon"), e: () => choose(!erasing),
      z: () => actions.undo(), y: () => actions.redo(),
      "+": () => actions.in(), "=": () => actions.in(), "-": () => actions.out(), 0: () => actions.fit(),
      i: () => actions.invert(), Delete: () => actions.clear(),
      g: (far) => actions.grow(far), h: (far) => actions.shrink(far),
    };
    const drawing = { // while a shape is begun
      Enter: finish,
      Escape: () => { corners = []; },
      Backspace: () => { if (shape === "polygon") corners.pop(); },
    };
    canvas.addEventListener("keydown", (event) => {
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const command = event.ctrlKey || event.metaKey;
      const chosen = labels[Number(key) - 1];
      if (!on || event.altKey || (command && key !== "z" && key !== "y")) return;
      if (corners.length && drawing[key]) {
        event.preventDefault();
        event.stopPropagation();
        drawing[key]();
        return showSketch();
      }
      if (!keys[key] && !chosen) return;
      event.preventDefault();
      event.stopPropagation();
      if (command && event.shiftKey) actions.redo();
      else if (chosen) choose(false, chosen.value);
      else keys[key](event.shiftKey);
      showRing();
    });

    // ---- the tool bar

    function draws(kind) {
      lift();
      corners = [];
      shape = kind;
      erasing = false;
      light();
    }
    function widen(shrink, far) {
      lift();
      let next = grid;
      for (let i = 0; i < (far ? FAR : 1); i++) next = atelier.grids.spread(next, width, height, label, shrink);
      replace(next);
    }
    function choose(erase, value = label) {
      lift();
      erasing = erase;
      label = value;
      light();
    }
    const actions = {
      brush: () => draws("brush"), rectangle: () => draws("rectangle"), polygon: () => draws("polygon"),
      erase: () => choose(!erasing),
      grow: (far) => widen(false, far), shrink: (far) => widen(true, far),
      close: () => { lift(); replace(atelier.grids.closed(grid, width, height, label)); },
      download,
      undo: () => { lift(); travel(past, future); },
      redo: () => { lift(); travel(future, past); },
      clear: () => { lift(); replace(new Uint8Array(width * height)); },
      invert: () => { lift(); replace(grid.map((value) => (value === 0 ? label : value === label ? 0 : value))); },
      upload: () => chooser.click(),
      out: () => zoomTo(zoom / 1.5), in: () => zoomTo(zoom * 1.5), fit: () => zoomTo(1),
      stretch: () => decide(true), cancel: () => decide(false),
    };
    tools.addEventListener("click", (event) => {
      const name = event.target.closest("[data-brush]")?.dataset.brush;
      const chosen = event.target.closest("[data-label]")?.dataset.label;
      if (name) actions[name](event.shiftKey);
      else if (chosen) choose(false, Number(chosen));
    });
    size.addEventListener("input", sized);
    chooser.addEventListener("change", async () => { await upload(chooser.files[0]); chooser.value = ""; });
    new ResizeObserver(() => panBy(0, 0)).observe(frame);

    function show(yes) {
      on = yes;
      tools.hidden = !yes;
      frame.classList.toggle("brushing", yes);
      if (!yes) { lift(); corners = []; decide(false); zoomTo(1); }
      light();
    }
    setLabels(labels);
    show(false);
    return {
      open, load, file, setLabels, show, upload, choose,
      /** Nearer or farther, by a factor; the whole picture without one. */
      zoomBy: (factor) => zoomTo(factor ? zoom * factor : 1),
      /** Once what was painted has been told. */
      settled() {
        if (telling) tell();
        return told;
      },
      focus: () => canvas.focus({ preventScroll: true }),
      get empty() { return empty(); },
      get on() { return on; },
      get zoom() { return zoom; },
      labelAt: (x, y) => grid[Math.floor(y * height) * width + Math.floor(x * width)],
    };
  };
})();
