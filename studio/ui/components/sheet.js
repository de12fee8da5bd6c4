// A contact sheet: small pictures of what the live view could show instead; a click goes there.
//
// It follows at leisure: once the view has settled, and only while the sheet can be seen.
const { view, ignored, paged } = props;
const cells = element.querySelector(".sheet-cells");
const alertLine = element.querySelector("[role=alert]");
atelier.translate(element);
element.querySelector(".sheet-turn").hidden = !paged;

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

// What the sheet depends on, as text.
function wanted() {
  const settings = live().settings;
  for (const name of ignored) delete settings[name];
  return JSON.stringify([first(), settings]);
}

async function refresh() {
  if (!visible || busy || !live()?.good || drawn === wanted()) return;
  busy = true;
  const goal = wanted();
  const answer = await server.cells({ page: live().page, n: live().n, settings: live().settings, first: first() });
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
    key.patch = cell.patch;
    const img = document.createElement("img");
    img.src = cell.picture;
    img.alt = "";
    const caption = document.createElement("span");
    caption.textContent = cell.caption;
    key.append(img, caption);
    key.setAttribute("aria-label", atelier.t(props.cell_label, { caption: cell.caption }));
    key.addEventListener("click", () => { turned = 0; live().set(cell.patch); });
    return key;
  }));
  mark();
}

function mark() {
  const now = live().settings;
  for (const key of cells.children) {
    const here = Object.entries(key.patch).every(([name, value]) => Math.abs(now[name] - value) < 0.005);
    key.setAttribute("aria-pressed", here);
  }
}

cells.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const all = [...cells.children];
  const next = step && all.at((all.indexOf(document.activeElement) + step) % all.length);
  if (!next) return;
  event.preventDefault();
  event.stopPropagation();
  next.focus();
});
element.addEventListener("click", (event) => {
  const turn = event.target.closest("[data-turn]")?.dataset.turn;
  if (turn === undefined) return;
  turned = turn === "0" ? 0 : turned + Number(turn);
  refresh();
});
document.addEventListener("atelier:settled", (event) => { if (event.detail.view === view) { mark(); refresh(); } });
document.addEventListener("atelier:picture", () => { if (live()) mark(); });
new IntersectionObserver((entries) => { visible = entries.at(-1).isIntersecting; refresh(); }).observe(element);
