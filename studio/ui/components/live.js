// The live view: the picture of the current settings, while they move.
//
// Last value wins: at most one request is under way, and when it returns only the newest settings are asked for next;
// so the picture shown last is always that of the settings set last. Gradio's controls are views of the settings kept
// here: they report to changed(), and set() writes back to them through the "controls" event.
const t = atelier.t.bind(atelier);
const { view, defaults } = props;
const box = element.querySelector(".live");
const img = box.querySelector(".live-picture");
const alertLine = box.querySelector("[role=alert]");
const statusLine = box.querySelector("[role=status]");
const button = (name) => box.querySelector(`[data-do=${name}]`);
atelier.translate(element);
img.alt = t("live.name");

const page = atelier.pageName();
const keys = Object.entries(defaults)
  .filter(([k]) => !props.uncontrolled.includes(k))
  .flatMap(([k, v]) => (Array.isArray(v) ? v.map((_, i) => `${k}.${i}`) : [k]));
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const copy = (settings) => JSON.parse(JSON.stringify(settings));

function get(settings, key) {
  const [name, i] = key.split(".");
  return i === undefined ? settings[name] : settings[name][i];
}
function put(settings, key, value) {
  const [name, i] = key.split(".");
  if (i === undefined) settings[name] = value;
  else settings[name][i] = value;
}

let current = copy(defaults);
let asked = 0; // the number of the newest request
let shown = null; // the settings of the picture on the page
let described = null; // the model whose description the controls show
let waiting = null; // {settings, at}: what to ask for when the request under way is back
let busy = false;
let inputAt = null; // when the person last moved something, on performance.now()'s clock

// What a tab's own script may add: to a request; to what is done with an answer; how to send again what the server has
// forgotten (true: ask again); to which buttons can be pressed.
const hooks = { asks: () => ({}), shows: async () => {}, sends: async () => false, lights: () => {} };

// ---- asking for pictures

function request() {
  waiting = { settings: current, at: inputAt ?? performance.now() };
  inputAt = null;
  if (!busy) work();
}

async function work() {
  busy = true;
  box.setAttribute("aria-busy", true);
  clearTimeout(settling);
  while (waiting) {
    const job = waiting;
    waiting = null;
    const answer = await server.draw({ page, n: ++asked, settings: job.settings, ...hooks.asks() });
    if (answer?.picture || answer?.empty || answer?.same) await show(answer, job);
    else if (answer?.missing) waiting ??= (await hooks.sends(answer.missing)) ? { ...job, settings: current } : null;
    else if (!answer?.stale) fail(answer?.error ?? t("live.lost"));
  }
  busy = false;
  box.removeAttribute("aria-busy");
  settling = setTimeout(settle, 300);
}

async function show(answer, job) {
  await hooks.shows(answer, job.settings);
  if (answer.picture) {
    img.src = answer.picture;
    await img.decode();
  }
  const detail = { n: asked, total_ms: performance.now() - job.at, server_ms: answer.ms };
  shown = job.settings;
  say(alertLine, "");
  box.classList.toggle("has-picture", Boolean(answer.picture || answer.same)); // same: it stands there already
  box.dataset.pictures = Number(box.dataset.pictures ?? 0) + 1;
  box.dataset.timing = JSON.stringify(detail);
  box.dispatchEvent(new CustomEvent("atelier:picture", { bubbles: true, detail }));
  if (described !== shown.model) {
    described = shown.model;
    trigger("model");
  }
}

function fail(sentence) {
  say(alertLine, sentence);
  // Settings kept from an earlier visit may ask for what is gone; the page must not open on an error it cannot leave.
  if (shown === null && !same(current, defaults) && restored) {
    restored = false;
    set(defaults);
  }
}

function say(line, sentence) {
  if (line.textContent !== sentence) line.textContent = sentence;
}

// A slider's own event comes some milliseconds before Gradio's report of it, which then finds nothing left to do.
document.addEventListener("input", (event) => {
  inputAt = event.timeStamp;
  const control = event.target.type === "range" && event.target.closest(`[id^="${view}-"]`);
  const key = control && keys.find((k) => control.id === `${view}-${k.replace(".", "-")}`);
  if (!key) return;
  const value = Number(event.target.value);
  if (value === get(current, key)) return;
  expected.set(key, { value, until: performance.now() + 1000 });
  current = copy(current);
  put(current, key, value);
  request();
}, true);

// ---- settings from and to the controls

// What set() wrote and the controls have not confirmed yet: until then they may report what stood there on the way.
const expected = new Map();
let dirty = new Set();
// What each control has said last. A report names all controls: only those that say something else have been changed,
// and a late report does not undo what set() has written since.
const reported = new Map(keys.map((key) => [key, get(defaults, key)]));

function changed(values) {
  const next = copy(current);
  keys.forEach((key, i) => {
    const value = values[i], wish = expected.get(key);
    // An emptied number box reports null: the last number stands until there is another.
    if (value === null || value === undefined || Number.isNaN(value) || value === reported.get(key)) return;
    reported.set(key, value);
    if (wish && wish.value === value) expected.delete(key);
    else if (wish && performance.now() < wish.until) return;
    put(next, key, value);
  });
  if (same(next, current)) return;
  current = next;
  request();
}

function set(patch) {
  const next = { ...copy(current), ...copy(typeof patch === "function" ? patch(copy(current)) : patch) };
  for (const key of keys) {
    const value = get(next, key);
    if (value === get(current, key)) continue;
    dirty.add(key);
    expected.set(key, { value, until: performance.now() + 1000 });
  }
  if (same(next, current) && shown) return;
  current = next;
  request();
  if (dirty.size) trigger("controls");
}

// For the "controls" event: one value a control; undefined leaves it alone.
function written() {
  const values = keys.map((key) => (dirty.has(key) ? get(current, key) : undefined));
  dirty = new Set();
  return values;
}

// ---- after the last picture: history, storage, the views that follow at leisure

let settling = null;
let past = [];
let future = [];
let present = null;

const good = () => shown !== null && same(shown, current);

function settle() {
  if (!good()) return; // what could not be shown is not worth coming back to
  if (present !== null && !same(present, current)) {
    past = [...past.slice(-99), present];
    future = [];
  }
  present = copy(current);
  atelier.keep(view, current);
  lightButtons();
  document.dispatchEvent(new CustomEvent("atelier:settled", { detail: { view } }));
}

function travel(from, to) {
  clearTimeout(settling);
  if (present !== null && !good() && !busy) return set(present);
  settle();
  if (!from.length) return;
  to.push(present);
  present = from.pop();
  set(present);
  lightButtons();
}

function lightButtons() {
  button("undo").disabled = !past.length;
  button("redo").disabled = !future.length;
  button("save").disabled = shown === null;
  hooks.lights();
}

// ---- files

async function save() {
  const answer = await server.save({ page, n: asked, settings: current });
  if (!answer?.picture) return say(alertLine, answer?.error ?? t("live.lost"));
  const [head, body] = answer.picture.split(",");
  const bytes = Uint8Array.from(atob(body), (c) => c.charCodeAt(0));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: head.slice(5).split(";")[0] }));
  link.download = answer.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say(statusLine, t("live.saved", { name: answer.name }));
}

async function open(file) {
  if (!file) return;
  say(alertLine, "");
  say(statusLine, "");
  if (file.size > props.max_file_bytes) {
    return say(alertLine, t("live.too_big", { megabytes: props.max_file_bytes >> 20 }));
  }
  const body = await new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.split(",")[1] ?? "");
    reader.onerror = () => done("");
    reader.readAsDataURL(file);
  });
  const answer = await server.open({ file: body });
  if (answer?.settings) set(answer.settings);
  const sentence = answer?.notice ? t(answer.notice, answer.values) : "";
  if (answer?.settings) say(statusLine, sentence || t("live.opened", { name: file.name }));
  else say(alertLine, sentence || (answer?.error ?? t("live.lost")));
}

const chooser = box.querySelector(".live-tools input[type=file]");
atelier.dropzone(box, { chooser, taken: (files) => actions.take(files) });

// ---- what the rest of the page may call

const actions = {
  undo: () => travel(past, future),
  redo: () => travel(future, past),
  save,
  open: () => chooser.click(),
  take: (files) => open(files[0]),
};
const live = {
  changed, set, written, actions, page,
  get n() { return asked; },
  get good() { return good(); },
  get settings() { return copy(current); },
};
atelier.live[view] = live;

box.addEventListener("click", (event) => {
  const name = event.target.closest("[data-do]")?.dataset.do;
  if (name) actions[name]();
});

// a control stands for each value
const length = (name, list) => (props.uncontrolled.includes(name) ? "any" : list.length);
const kind = (name, value) => (Array.isArray(value) ? `list of ${length(name, value)}` : typeof value);
const saved = Object.entries(atelier.recall(view) ?? {}).filter(
  ([name, value]) => kind(name, value) === kind(name, defaults[name]),
);
let restored = saved.length > 0;
lightButtons();
// The page's own events are connected once its parts stand.
setTimeout(() => set(Object.fromEntries(saved)));
