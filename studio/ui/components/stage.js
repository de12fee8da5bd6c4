
// ---- the stage: a picture, several, or a film on this visitor's desk, before and after;
// a mask on it; work that takes long
//
// The settings hold `work` and `mask`, names of files on the desk, and `at_s`, a time in a film. The
// server answers draw with what was `before` whenever the page does not have it yet; receive, look, start,
// watch, stop and take are as in stage.py.

const find = (selector) => box.querySelector(selector);
const frame = find(".stage-frame");
const before = find(".compare-before");
const desk = atelier.files.desk;
const mega = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
before.alt = t("stage.before");
img.alt = t("stage.after");

let onStage = null; // of the picture on the stage: {key, name, kind, width, height, seconds}
let batch = []; // [{id, name}] when several pictures are to be done
const infos = new Map(); // of files on the desk, by id: {id, name, kind, width, height, thumb}

// What a tab's script may say: the labels of the brush; what else is set for another work; what it does with a
// file that it knows (true: nothing else is done); which of many files belong together; what it does with work
// that has ended (true: it is no more spoken of), and what it adds to what is said of it; and once the stage, its
// files or the settings have changed.
Object.assign(hooks, {
  labels: () => [], fresh: () => ({}), opens: async () => false, batched: (files) => files, ended: async () => false,
  offers: () => {}, changed: () => {},
});
const bring = (id) => set({ work: id, mask: "", at_s: 0, ...hooks.fresh(id) });

// ---- files

/** Send a file to the desk; its info, or null when the page said what was wrong. */
async function send(file, purpose, alert = alertLine, many = null) {
  if (file.size > props.max_bytes) {
    tell(alert, t("stage.too_big", { name: file.name, size: mega(file.size), limit: mega(props.max_bytes) }));
    return null;
  }
  const receive = (form) => server.receive({ ...form, data: { ...form.data, purpose } });
  const answer = await atelier.files.send(receive, file, (part) => {
    if (file.size > 2e6 || many) {
      waitFor("stage.sending", { name: file.name, percent: Math.round(100 * part), ...many });
    }
  }, !many);
  waitFor("");
  if (answer.error) { tell(alert, answer.error); return null; }
  infos.set(answer.id, answer);
  return answer;
}

/** The infos of files, sent again where the desk has lost them; null where this browser has not kept one. */
async function lookUp(ids, purpose) {
  const wanted = ids.filter((id) => !infos.has(id));
  if (wanted.length) {
    const answer = await server.look({ desk, files: wanted });
    for (const info of answer?.files ?? []) infos.set(info.id, info);
    for (const id of answer?.missing ?? []) {
      const file = await atelier.files.kept(id);
      const receive = (form) => server.receive({ ...form, data: { ...form.data, purpose } });
      const sent = file && (await atelier.files.send(receive, file));
      if (sent?.id === id) infos.set(id, sent);
    }
  }
  return ids.map((id) => infos.get(id) ?? null);
}

// The desk has forgotten files that the settings name: what this browser has kept is sent again, the rest is let go.
const tries = new Map();
hooks.sends = async (ids) => {
  for (const id of ids) {
    infos.delete(id);
    tries.set(id, (tries.get(id) ?? 0) + 1);
    if (tries.get(id) < 4 && (await lookUp([id]))[0]) continue;
    const gone = Object.entries(current).map(([name, value]) => (
      Array.isArray(value) ? [name, value.map((one) => (one === id ? "" : one))] : [name, value === id ? "" : value]
    ));
    batch = batch.filter((one) => one.id !== id);
    set(Object.fromEntries(gone));
    say(statusLine, t("stage.lost"));
  }
  return true;
};

let taking = 0; // how often something was dropped: what comes later ends what is still being sent
async function take(files) {
  const turn = ++taking;
  say(alertLine, "");
  say(statusLine, "");
  const pictures = files.filter((file) => !file.name.startsWith("."));
  if (pictures.length === 1) return takeOne(pictures[0]);
  batch = [];
  const refused = [];
  for (const [i, file] of pictures.entries()) {
    if (i >= props.max_batch) { refused.push(...pictures.slice(i)); break; }
    const words = document.createElement("p"); // what is wrong with one of many does not stop the others
    const info = await send(file, "picture", words, { count: pictures.length, i: i + 1 });
    if (turn !== taking) return;
    if (info?.kind !== "picture") { refused.push(file); continue; }
    batch.push({ id: info.id, name: file.webkitRelativePath || file.name });
    if (batch.length === 1) bring(info.id);
    else hooks.changed();
  }
  gather(batch);
  atelier.keep(view + ".batch", batch);
  if (refused.length) {
    const names = refused.slice(0, 5).map((file) => file.name).join(", ") + (refused.length > 5 ? " …" : "");
    tell(alertLine, t("stage.refused", { count: refused.length, names }));
  }
  showPlace();
}

function gather(files) {
  batch = hooks.batched(files);
  if (batch.length && !batch.some(({ id }) => id === current.work)) bring(batch[0].id);
}

async function takeOne(file) {
  const info = await send(file, "work");
  if (!info || (await hooks.opens(info))) return;
  if (info.settings) return restore(info);
  gather(info.files ?? []);
  atelier.keep(view + ".batch", batch);
  if (info.kind === "zip") {
    tell(statusLine, t("stage.unpacked", { count: batch.length, name: info.name, skipped: info.skipped }));
  }
  if (!batch.length) bring(info.id);
  showPlace();
}

// A picture that was made here: everything as it was then, as far as its files can be had.
async function restore(info) {
  const settings = { ...info.settings };
  const isFile = (value) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
  const ids = [...new Set(Object.values(settings).flat().filter(isFile))];
  const found = new Set((await lookUp(ids)).filter(Boolean).map(({ id }) => id));
  const had = (value) => (isFile(value) && !found.has(value) ? "" : value);
  for (const [name, value] of Object.entries(settings)) {
    settings[name] = Array.isArray(value) ? value.map(had) : had(value);
  }
  if (!settings.work) settings.work = current.work;
  batch = [];
  set({ ...defaults, ...settings });
  const sentence = info.notice ? t(info.notice, info.values) : "";
  const lost = ids.length > found.size ? t("stage.partly", { name: info.name }) : t("live.opened", { name: info.name });
  tell(statusLine, [sentence, lost].filter(Boolean).join(" "), "stage.use_picture", () => {
    bring(info.id);
    say(statusLine, "");
  });
}

/** A sentence, and a button that does something about it. */
function tell(line, sentence, label = "", act = null) {
  line.textContent = sentence;
  if (!act) return;
  const key = document.createElement("button");
  key.type = "button";
  key.textContent = t(label);
  key.addEventListener("click", act);
  line.append(" ", key);
}

function waitFor(key, values = {}) {
  const place = find(".stage-busy");
  place.hidden = !key;
  const many = values.count ? `${values.i} / ${values.count} · ` : "";
  place.firstElementChild.textContent = key ? many + t(key, values) : "";
}

// ---- before and after

hooks.asks = () => ({ desk, has: onStage?.key ?? "" });
hooks.shows = async (answer, settings) => {
  if (answer.empty) onStage = null;
  if (answer.before) {
    onStage = answer.before;
    before.src = onStage.picture;
    await before.decode();
    delete onStage.picture;
    frame.style.setProperty("--ratio", onStage.width / onStage.height);
    brush.open(onStage.width, onStage.height);
  }
  if (!onStage && brush.on) paint(false);
  if (onStage && settings.mask !== maskShown) await showMask(settings.mask);
  tries.clear();
  showPlace();
};
hooks.lights = () => {
  button("brush").disabled = !onStage;
  button("save").disabled = !onStage || atWork;
};

const compare = atelier.compare(frame, { key: view + ".compare", enabled: () => !brush.on && onStage !== null });

function showPlace() {
  const film = onStage?.kind === "film";
  const i = batch.findIndex(({ id }) => id === current.work);
  find(".stage-batch").hidden = batch.length < 2;
  find(".stage-place").textContent = i < 0 ? "" : `${i + 1} / ${batch.length} · ${batch[i].name}`;
  find(".stage-time").hidden = !film;
  if (film) {
    const range = find(".stage-time input");
    range.max = Math.max(0, onStage.seconds - 0.05);
    if (document.activeElement !== range) range.value = current.at_s;
    atelier.fillTrack(range);
    find(".stage-time output").textContent = `${Number(current.at_s).toFixed(1)} / ${onStage.seconds.toFixed(1)} s`;
  }
  lightButtons();
  hooks.changed();
}
find(".stage-time input").addEventListener("input", (event) => {
  set({ at_s: Number(event.target.value) });
  showPlace();
});
function turn(by) {
  const i = batch.findIndex(({ id }) => id === current.work);
  if (batch.length > 1) bring(batch[(i + by + batch.length) % batch.length].id);
}

// ---- the mask

let maskShown = "";
const masks = new Map(); // files by id, for browsers that keep nothing
const brush = atelier.brush({
  frame, sheet: find(".stage-sheet"), tools: find(".brush-tools"), labels: hooks.labels(),
  longest: props.grid_px, white: props.white,
  failed: (sentence) => tell(alertLine, sentence),
  noted: (sentence) => tell(statusLine, sentence),
  name: () => `${(onStage?.name ?? "picture").replace(/\.[^.]*$/, "")}-mask.png`,
  changed: async (file) => {
    const info = file && (await send(file, "mask"));
    if (file && !info) return;
    if (info) masks.set(info.id, file);
    maskShown = info?.id ?? "";
    set({ mask: maskShown });
  },
});
async function showMask(id) {
  maskShown = id;
  const file = id ? masks.get(id) ?? (await atelier.files.kept(id)) : null;
  await brush.load(id && !file ? (await atelier.files.fetched(server.take, { id, name: "mask.png" })).file : file);
}
function paint(on) {
  brush.setLabels(hooks.labels());
  brush.show(on);
  button("brush").setAttribute("aria-pressed", on);
  box.classList.toggle("painting", on);
  if (on) brush.focus();
  else button("brush").focus({ preventScroll: true });
}
frame.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && brush.on) { event.stopPropagation(); paint(false); }
});

// ---- work that takes long

let atWork = false;
let seen = 0; // pictures of the task that were shown
let started = atelier.recall(view + ".started"); // the settings that the task was begun with
let finished = null; // the file it made
let runs = null; // {at, from}: since when it runs, and how far it was then

// more: what else the server is told, as what kind of work it is.
async function start(more = {}) {
  if (!onStage || atWork) return;
  say(alertLine, "");
  say(statusLine, "");
  seen = 0;
  started = copy(current);
  atelier.keep(view + ".started", started);
  const report = await server.start({
    page, n: asked, settings: current, desk, files: batch.length > 1 ? batch : [], ...more,
  });
  if (!report?.state) {
    if (report?.missing && (await hooks.sends(report.missing))) return start(more);
    return tell(alertLine, report?.error ?? t("live.lost"));
  }
  watch(report);
}

async function watch(report) {
  atWork = true;
  find(".stage-work").dataset.ended = "";
  let wait = 60; // ms; much work is done at once
  while (["waiting", "running"].includes(report.state)) {
    showWork(report);
    await new Promise((done) => setTimeout(done, document.hidden ? 3000 : wait));
    wait = Math.min(350, 1.5 * wait);
    if (!element.isConnected) return;
    report = (await server.watch({ desk, shown: seen })) ?? report; // a server that does not answer may come back
  }
  atWork = false;
  if (await hooks.ended(report)) dismiss(false);
  else {
    showWork(report);
    hooks.offers(report, find(".stage-work-note"));
  }
  lightButtons();
}

function showWork(report) {
  const place = find(".stage-work"), percent = Math.round(100 * report.fraction);
  const going = ["waiting", "running"].includes(report.state);
  finished = report.file ?? null;
  seen = report.pictures;
  if (report.picture && started !== null && same(started, current)) {
    img.src = report.picture;
    box.dataset.drafts = seen;
  }
  place.hidden = false;
  place.dataset.state = report.state;
  const key = {
    waiting: "stage.waiting", running: "stage.running", done: "stage.done", stopped: "stage.stopped",
    failed: "stage.failed",
  };
  const words = { ahead: report.ahead, name: finished?.name ?? "", size: finished ? mega(finished.bytes) : "" };
  find(".stage-work-note").textContent = [
    t(key[report.state], words), report.note ? t(report.note, report.values) : "", report.error ?? "",
  ].filter(Boolean).join(" ");
  if (report.state !== "running") runs = null;
  else runs ??= { at: performance.now(), from: report.fraction };
  find(".stage-work-percent").textContent = runs
    ? [`${percent}%`, left(report.fraction)].filter(Boolean).join(" · ") : "";
  find(".stage-progress").hidden = !going;
  find(".stage-progress").setAttribute("aria-valuenow", percent);
  find(".stage-progress span").style.width = `${percent}%`;
  button("stop").hidden = !going;
  button("fetch").hidden = !finished;
  button("dismiss").hidden = going;
  if (going) place.dataset.number = report.number;
  lightButtons();
}

// How long it will still take, once that can be told.
function left(fraction) {
  const passed = (performance.now() - runs.at) / 1000, done = fraction - runs.from;
  if (passed < 5 || done < 0.02) return "";
  const seconds = (passed * (1 - fraction)) / done;
  return seconds < 90 ? t("stage.left_s", { seconds: Math.ceil(seconds / 5) * 5 })
    : t("stage.left_min", { minutes: Math.round(seconds / 60) });
}

async function fetchFile() {
  const sentence = await atelier.files.download(server.take, finished, (part) => {
    find(".stage-work-percent").textContent = part < 1 ? `${Math.round(100 * part)}%` : "";
  });
  if (sentence) tell(alertLine, sentence);
}

function dismiss(focus = true) {
  find(".stage-work").hidden = true;
  server.stop({ desk }); // what has ended is forgotten
  if (focus) button("save").focus({ preventScroll: true });
}

// A page that was reloaded finds its work again.
server.watch({ desk, shown: 0 }).then((report) => { if (report?.state && report.state !== "stopped") watch(report); });

Object.assign(actions, {
  save: start, take, fetch: fetchFile, dismiss,
  folder: () => find(".stage-folder").click(),
  brush: () => { if (onStage) paint(!brush.on); },
  previous: () => turn(-1), next: () => turn(1),
  stop: async () => {
    button("stop").disabled = true;
    await server.stop({ desk });
    button("stop").disabled = false;
  },
  sample: async () => {
    const answer = await server.sample({});
    if (!answer?.picture) return tell(alertLine, answer?.error ?? t("live.lost"));
    const body = await (await fetch(answer.picture)).blob();
    take([new File([body], answer.name, { type: body.type })]);
  },
});
// The chooser takes pictures and films; what a folder holds is looked through here.
chooser.accept = props.accept;
const inFolder = (files) => take(
  files.filter((file) => file.type.startsWith("image/") || /\.(tiff?|jp2|avif|ppm|pgm)$/i.test(file.name)),
);
find(".stage-folder").addEventListener("change", async (event) => {
  await inFolder([...event.target.files]);
  event.target.value = "";
});
atelier.pastezone(box, (files) => actions.take(files));
Object.assign(live, { send, lookUp, tell, desk, infos });
batch = (atelier.recall(view + ".batch") ?? []).filter(
  (one) => typeof one?.id === "string" && typeof one?.name === "string",
);
