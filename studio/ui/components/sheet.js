// A contact sheet: small pictures of what the live view could show instead; a click goes there.
//
// It follows at leisure: once the view has settled, and only while the sheet can be seen.
const { view, ignored, paged, kept } = props;
const MOST = 24; // bookmarks
const cells = element.querySelector(".sheet-cells");
const alertLine = element.querySelector("[role=alert]");
atelier.translate(element);
element.querySelector(".sheet-turn:has([data-turn])").hidden = !paged;
element.querySelector(".sheet-turn:has([data-keep])").hidden = !kept;
const hint = element.querySelector(".sheet-hint"), keeper = element.querySelector("[data-keep]");

let visible = false;
let turned = 0; // pages away from the one that holds the settings
let drawn = null; // what the sheet shows, as text
let busy = false;

const live = () => atelier.live[view];
const lastPage = () => Math.floor(paged.last / paged.size);

// The first number of the page to show. Pages lie fixed, so that going to a picture on a page does not turn it.
function first() {
  if (!paged) return 0;
  const home = Math.floor(live().settings[paged.key] / paged.size);
  return Math.min(Math.max(home + turned, 0), lastPage()) * paged.size;
}

// What the person bookmarked, oldest first: settings without the model, so that another one can be asked for the same.
// Settings that there are no longer are left out, and so is all that the browser has there from elsewhere.
function bookmarks() {
  const found = kept && atelier.recall(kept);
  if (!Array.isArray(found)) return [];
  const known = Object.keys(here());
  return found.filter((one) => one && typeof one === "object" && !Array.isArray(one)).slice(-MOST)
    .map((one) => Object.fromEntries(known.filter((name) => name in one).map((name) => [name, one[name]])));
}
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
function here() {
  const { model, ...rest } = live().settings;
  return rest;
}
function toggle() {
  const others = bookmarks().filter((one) => !same(one, here()));
  const added = others.length === bookmarks().length;
  change(added ? [...others, here()].slice(-MOST) : others);
}
function change(marks) {
  atelier.keep(kept, marks);
  light();
  refresh();
}
function light() {
  if (!kept || !live()) return;
  live().actions.bookmark = toggle;
  const marks = bookmarks();
  keeper.textContent = atelier.t(marks.some((one) => same(one, here())) ? "sheet.forget" : "sheet.keep");
  hint.hidden = marks.length > 0;
  hint.textContent = atelier.t("sheet.keep_says");
}

// What the sheet depends on, as text.
function wanted() {
  if (kept) return JSON.stringify([bookmarks(), live().settings.model]);
  const settings = live().settings;
  for (const name of ignored) delete settings[name];
  return JSON.stringify([first(), settings]);
}

async function refresh() {
  if (!visible || busy || !live()?.good || drawn === wanted()) return;
  busy = true;
  const goal = wanted(), marks = bookmarks();
  const wish = { page: live().page, n: live().n, settings: live().settings, first: first() };
  const answer = await server.cells(kept ? { ...wish, [kept]: marks } : wish);
  if (kept && answer?.cells) answer.cells.forEach((cell, i) => { cell.patch = marks[i]; });
  busy = false;
  if (answer?.stale) return; // the view moves again, and will settle again
  alertLine.textContent = answer?.cells ? "" : (answer?.error ?? atelier.t("live.lost"));
  if (answer?.cells) {
    drawn = goal;
    lay(answer.cells);
    if (goal !== wanted()) refresh();
  }
}

function lay(list) {
  cells.replaceChildren(...list.map((cell) => {
    const key = document.createElement("button");
    key.type = "button";
    key.className = "sheet-key";
    key.patch = cell.patch;
    const shown = document.createElement(cell.picture ? "img" : "div");
    shown.className = "sheet-shown";
    if (cell.picture) Object.assign(shown, { src: cell.picture, alt: "" });
    const caption = document.createElement("span");
    caption.textContent = cell.caption;
    key.append(shown, caption);
    key.title = cell.says ?? "";
    key.setAttribute("aria-label", cell.says ?? atelier.t(props.cell_label, { caption: cell.caption }));
    key.addEventListener("click", () => { turned = 0; live().set(cell.patch); });
    return kept ? removable(key) : key;
  }));
  mark();
}

// A bookmark with a cross in its corner: one that no model of today can draw goes in no other way.
function removable(key) {
  const cell = document.createElement("div"), cross = document.createElement("button");
  cell.className = "sheet-cell";
  cross.type = "button";
  cross.className = "sheet-cross";
  cross.textContent = "×";
  cross.setAttribute("aria-label", atelier.t("sheet.forget"));
  cross.addEventListener("click", () => change(bookmarks().filter((one) => !same(one, key.patch))));
  cell.append(key, cross);
  return cell;
}

const keys = () => [...cells.querySelectorAll(".sheet-key")];
function mark() {
  const now = live().settings;
  for (const key of keys()) {
    const near = (a, b) => (typeof b === "number" ? Math.abs(a - b) < 0.005 : same(a, b));
    const alike = ([name, value]) => near(now[name], value);
    key.setAttribute("aria-pressed", Object.entries(key.patch).every(alike));
  }
}

cells.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const all = keys();
  const next = step && all.at((all.indexOf(document.activeElement) + step) % all.length);
  if (!next) return;
  event.preventDefault();
  event.stopPropagation();
  next.focus();
});
element.addEventListener("click", (event) => {
  if (event.target.closest("[data-keep]")) return toggle();
  const turn = event.target.closest("[data-turn]")?.dataset.turn;
  if (turn === undefined) return;
  turned = turn === "0" ? 0 : turned + Number(turn);
  refresh();
});
document.addEventListener("atelier:settled", (event) => {
  if (event.detail.view === view) { light(); mark(); refresh(); }
});
document.addEventListener("atelier:picture", () => { if (live()) { light(); mark(); } });
new IntersectionObserver((entries) => { visible = entries.at(-1).isIntersecting; refresh(); }).observe(element);
