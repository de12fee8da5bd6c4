// The styles of a live view: up to four pictures with their weights, chosen from presets or brought by the person.
//
// One place is selected; what is clicked, dropped or pasted goes there. The view's settings hold `styles`, names of
// presets or of files on the desk, empty where there is none, and as many `weights`.
const t = atelier.t.bind(atelier);
const { view } = props;
const box = element.querySelector(".palette");
const slots = box.querySelector(".palette-slots");
const presetRow = box.querySelector(".palette-presets");
const chooser = box.querySelector("input[type=file]");
const alertLine = box.querySelector("[role=alert]");
const statusLine = box.querySelector("[role=status]");
atelier.translate(element);

let selected = 0;
let presets = []; // [{name, title, painter, picture}]
let drawn = "";
const live = () => atelier.live[view];
const settings = () => live().settings;
const used = () => settings().styles.map((style, i) => (style ? i : -1)).filter((i) => i >= 0);

const title = (style) => presets.find(({ name }) => name === style)?.title ?? live().infos.get(style)?.name ?? "";
const picture = (style) => presets.find(({ name }) => name === style)?.picture ?? live().infos.get(style)?.thumb ?? "";

// ---- the places

async function show() {
  if (!live()?.infos) return;
  const { styles } = settings();
  await live().lookUp(styles.filter((style) => /^[0-9a-f]{64}$/.test(style)), "style");
  const { weights } = settings();
  const text = JSON.stringify([styles, selected, presets.length, styles.map(picture).map((url) => url.length)]);
  if (text !== drawn) {
    drawn = text;
    lay(styles);
  }
  const filled = used();
  for (const place of slots.children) {
    const i = Number(place.dataset.place);
    const range = place.querySelector("input");
    if (!range) continue;
    range.parentElement.hidden = filled.length < 2;
    if (document.activeElement !== range) range.value = weights[i];
    atelier.fillTrack(range);
    const sum = filled.reduce((total, j) => total + weights[j], 0);
    place.querySelector("output").textContent = `${Math.round(sum ? (100 * weights[i]) / sum : 100 / filled.length)}%`;
  }
  for (const key of presetRow.children) key.setAttribute("aria-pressed", styles.includes(key.dataset.preset));
}

function lay(styles) {
  const focused = document.activeElement?.closest?.(".palette-slots [data-place]")?.dataset.place;
  const free = styles.findIndex((style, i) => !style && i !== selected);
  const places = styles.map((style, i) => (style || i === selected || i === free ? place(style, i) : null));
  slots.replaceChildren(...places.filter(Boolean));
  if (focused !== undefined) {
    slots.querySelector(`[data-place="${focused}"] .palette-pick`)?.focus({ preventScroll: true });
  }
}

function place(style, i) {
  const item = document.createElement("li");
  item.dataset.place = i;
  item.innerHTML = `<button type="button" class="palette-pick"><img alt=""><span class="palette-plus">+</span></button>
    <button type="button" class="palette-drop">×</button>
    <label><input type="range" min="0" max="1" step="0.01"><output></output></label>`;
  const [pick, drop] = item.querySelectorAll("button");
  const name = style ? title(style) || t("style.unnamed") : t("style.empty");
  pick.setAttribute("aria-pressed", i === selected);
  pick.setAttribute("aria-label", t("style.place", { i: i + 1, name }));
  pick.title = name;
  item.classList.toggle("empty", !style);
  if (style) item.querySelector("img").src = picture(style);
  drop.hidden = !style;
  drop.setAttribute("aria-label", t("style.remove", { name }));
  item.querySelector("label").hidden = true;
  if (!style) item.querySelector("label").remove();
  else item.querySelector("input").setAttribute("aria-label", t("style.weight", { name }));
  return item;
}

// ---- what changes them

function put(style, at = selected) {
  const { styles, weights } = settings();
  styles[at] = style;
  if (!weights[at]) weights[at] = 1;
  live().set({ styles, weights });
}

async function take(files) {
  alertLine.textContent = statusLine.textContent = "";
  let at = selected;
  for (const file of files) {
    const { styles } = settings();
    if (at > selected && styles[at]) at = styles.indexOf("");
    if (at < 0 || at >= styles.length) {
      alertLine.textContent = t("style.four", { count: styles.length });
      break;
    }
    const info = await live().send(file, "style", alertLine);
    if (!info) continue;
    if (info.frames > 1) statusLine.textContent = t("style.first_frame", { name: info.name, count: info.frames });
    put(info.id, at);
    at += 1;
  }
}

function remove(i) {
  const { styles } = settings();
  styles[i] = "";
  selected = i;
  live().set({ styles });
  slots.querySelector(`[data-place="${i}"] .palette-pick`)?.focus();
}

slots.addEventListener("click", (event) => {
  const item = event.target.closest("[data-place]");
  if (!item) return;
  const i = Number(item.dataset.place);
  if (event.target.closest(".palette-drop")) return remove(i);
  if (!event.target.closest(".palette-pick")) return;
  const again = i === selected;
  selected = i;
  show();
  if (again && item.classList.contains("empty")) chooser.click();
});
slots.addEventListener("keydown", (event) => {
  const item = event.target.closest("[data-place]");
  if (!item || event.target.tagName === "INPUT") return;
  if (event.key === "Delete" || event.key === "Backspace") {
    event.preventDefault();
    remove(Number(item.dataset.place));
  }
});
slots.addEventListener("input", (event) => {
  const { weights } = settings();
  weights[Number(event.target.closest("[data-place]").dataset.place)] = Number(event.target.value);
  if (used().every((i) => weights[i] === 0)) return; // one of them has to be something
  live().set({ weights });
  show();
});
box.addEventListener("click", (event) => { if (event.target.closest("[data-palette=open]")) chooser.click(); });
atelier.dropzone(box, { chooser, taken: take });
atelier.pastezone(box, take);

// ---- presets

presetRow.addEventListener("click", (event) => {
  const preset = event.target.closest("[data-preset]")?.dataset.preset;
  if (preset) put(preset);
});
presetRow.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const all = [...presetRow.children];
  const next = step && all.at((all.indexOf(document.activeElement) + step) % all.length);
  if (!next) return;
  event.preventDefault();
  event.stopPropagation();
  next.focus();
});
server.presets({}).then((answer) => {
  presets = (answer?.presets ?? []).map(({ name, picture }) => ({ name, picture, title: t(`style.preset_${name}`) }));
  presetRow.replaceChildren(...presets.map(({ name, title, picture }) => {
    const key = document.createElement("button");
    key.type = "button";
    key.dataset.preset = name;
    key.title = title;
    key.setAttribute("aria-label", title);
    key.innerHTML = '<img alt="">';
    key.firstChild.src = picture;
    return key;
  }));
  show();
});

for (const kind of ["atelier:picture", "atelier:settled"]) {
  document.addEventListener(kind, (event) => {
    if (
      kind === "atelier:picture"
        ? element.isConnected && event.target.closest(`#live-${view}`)
        : event.detail.view === view
    ) show();
  });
}
