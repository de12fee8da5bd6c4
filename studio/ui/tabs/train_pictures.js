
// ---- 1: the pictures to learn from

const BATCH_FILES = 48, BATCH_BYTES = 8 << 20; // of one message to the studio
const PICTURE = new RegExp(`(${props.suffixes.map((one) => one.replace(".", "\\.")).join("|")})$`, "i");
const FILM = new RegExp(`(${props.films.map((one) => one.replace(".", "\\.")).join("|")})$`, "i");
let source = null; // {set} or {path}, as the studio knows it
let report = null; // what the doctor found
let film = null; // {id, name, seconds} that waits to be taken apart
const invite = find(".pictures-invite"), found = find(".pictures-found");
const progressNote = (note, part) => showWork({ state: "running", fraction: part, ...note });

function useSource(next, look = true) {
  if (bringing) bringing.halted = true; // another choice takes the place of what is on its way
  source = next;
  report = null;
  atelier.keep("train.source", source);
  showPictures();
  changed();
  if (source && look) examine();
}
function showPictures() {
  invite.hidden = source !== null;
  found.hidden = report === null;
  if (report) showReport();
}
const examine = () => begin({ job: "look", source, resolution: sideOf() });
finished.look = (result) => {
  if (JSON.stringify(result.source) !== JSON.stringify(source)) return;
  report = result;
  showPictures();
  showForm(); // whether there are classes to be learned is known
  preview();
  changed();
};

function showReport() {
  const count = Object.keys(report.classes).length;
  put(find(".pictures-name"), report.name);
  const { widths, heights, pictures } = report;
  const sides = widths.least === widths.most && heights.least === heights.most
    ? `${widths.most} × ${heights.most} px`
    : t("train.sizes", { least: Math.min(widths.least, heights.least), most: Math.max(widths.most, heights.most) });
  const total = t("train.count", { count: pictures.toLocaleString() });
  const facts = [total, count && t("train.folders", { count }), pictures && sides];
  put(find(".pictures-facts"), facts.filter(Boolean).join(" · "));
  showFindings();
}
let foundFor = ""; // the fit with which the findings were shown
function showFindings() {
  foundFor = fitOf();
  // what is cut off is no matter where nothing is
  const findings = report.findings.filter(({ kind }) => kind !== "wide" || fitOf() === "crop");
  const well = { kind: "well", grave: false, count: report.pictures, names: [], thumbs: [] };
  find(".pictures-found .findings").replaceChildren(...(findings.length ? findings : [well]).map(showFinding));
}

// What each finding says in the reader's words; the doctor's own sentence where there are none.
const FOUND = ["well", "none", "few", "fair", "unreadable", "copies", "alike", "small", "wide", "classes", "grey"];
function showFinding({ kind, grave, count, message, names, thumbs }) {
  const row = made("li", grave ? "grave" : kind === "well" ? "well" : ""), words = made("div");
  const values = { count: count.toLocaleString(), side: report.resolution, largest: report.largest };
  const name = kind === "few" && count >= 100 ? "fair" : kind;
  words.append(made("p", "", FOUND.includes(name) ? t(`train.found_${name}`, values) : message));
  const act = {
    small: report.largest >= 16 && {
      label: t("train.use_side", { side: report.largest }), run: () => setField("resolution", report.largest),
    },
    wide: fieldOf("fit") && { label: t("train.use_pad"), run: () => setField("fit", "pad") },
    grey: fieldOf("channels") && { label: t("train.use_grey"), run: () => setField("channels", 1) },
    few: count < 100 && props.small_preset && {
      label: t("train.use_small"), run: () => choosePreset(props.small_preset),
    },
  }[kind];
  if (act) {
    const button = made("button", "", act.label);
    button.addEventListener("click", act.run);
    words.append(button);
  }
  row.append(words);
  if (names.length) {
    const more = made("details"), rest = count > names.length ? " …" : "";
    more.append(made("summary", "", t("train.which")), made("p", "finding-names", names.join(", ") + rest));
    if (thumbs.length) {
      const strip = made("div", "finding-thumbs");
      strip.append(...thumbs.map(({ name, picture }) => pictureOf(picture, name)));
      more.append(strip);
    }
    words.append(more);
  }
  return row;
}

const pictureOf = (address, name) => Object.assign(made("img"), { src: address, alt: name, title: name });

// ---- what the network will see

const fitOf = () => (fieldOf("fit") ? valueOf("fit") : "squares"); // other recipes take squares out of all parts
let seen = null, showing = "cropped", glance = 0, looking = false, lookAgain = false;
async function preview() {
  if (!source || !report?.pictures) { find(".seen").hidden = true; return; }
  if (looking) { lookAgain = true; return; }
  looking = true;
  do {
    lookAgain = false;
    const answer = await server.preview({ source, ...wished(), seed: glance });
    seen = answer?.cropped && report ? answer : null; // others may have been asked for meanwhile
    if (seen) showSeen(); else find(".seen").hidden = true;
  } while (lookAgain);
  looking = false;
}
function showSeen() {
  find(".seen").hidden = false;
  for (const key of all(".views [data-seen]")) key.setAttribute("aria-pressed", key.dataset.seen === showing);
  for (const key of all(".fits [data-seen]")) key.setAttribute("aria-pressed", key.dataset.seen === fitOf());
  find(".fits").hidden = !fieldOf("fit") || !report.cropped; // all are square already
  if (foundFor !== fitOf()) showFindings();
  find("[data-do=again]").hidden = showing !== "augmented" || !seen.changes;
  const changed = seen.changes ? "train.augmented_says" : "train.augmented_not";
  put(find(".seen-says"), t(showing === "cropped" ? `train.says_${fitOf()}` : changed, { side: sideOf() }));
  find(".seen-cells").replaceChildren(...seen[showing].map((picture, i) => pictureOf(picture, seen.names[i])));
}
find(".views").addEventListener("click", (event) => {
  const name = event.target.closest("[data-seen]")?.dataset.seen;
  if (name && seen) { showing = name; showSeen(); }
});
find(".fits").addEventListener("click", (event) => {
  const fit = event.target.closest("[data-seen]")?.dataset.seen;
  if (!fit) return;
  showing = "cropped"; // where it can be seen
  setField("fit", fit);
  showSeen();
});
actions.again = () => { glance += 1; preview(); };

// ---- bringing them

async function take(files) {
  complain("");
  const wanted = files.filter((file) => !file.name.startsWith("."));
  const [one] = wanted;
  if (wanted.length === 1 && /\.zip$/i.test(one.name)) return sendWhole(one, "zip");
  if (wanted.length === 1 && FILM.test(one.name)) return sendWhole(one, "film");
  if (wanted.length === 1 && /\.json$/i.test(one.name)) return loadPreset(one);
  const pictures = wanted.filter(({ name }) => PICTURE.test(name));
  const found = pictures.map((file) => ({ path: file.webkitRelativePath || file.name, open: () => file }));
  return sendMany(found, wanted.length - pictures.length);
}

/** The way for pictures, one at a time: {halted}, or null where others are on theirs. To be freed. */
async function claim() {
  if (bringing) { complain(t("train.bringing")); return null; }
  const mine = bringing = { halted: false };
  if (working === "film" || working === "export" || working === "explore") complain(t("train.after_job"));
  await settled();
  complain("");
  working = "bring";
  return mine;
}
function free() {
  bringing = null;
  if (working === "bring") working = "";
  showWork(null);
}

/** pictures: [{path, open}]; open() gives or promises the file, and is called once that is to be sent. */
async function sendMany(pictures, others, mine) {
  const { most } = props, count = pictures.length;
  const sentence = count < 2 ? t("train.no_pictures", { count: count + others })
    : count > most ? t("train.too_many", { count, most }) : "";
  if (sentence) {
    if (mine) free();
    return complain(sentence);
  }
  mine ??= await claim();
  if (!mine) return;
  const upload = atelier.pageName();
  const tops = new Set(pictures.map(({ path }) => (path.includes("/") ? path.split("/")[0] : "")));
  const top = tops.size === 1 && [...tops][0] ? [...tops][0] : t("train.pictures");
  let sent = 0, waiting = null, lost = others; // waiting: a file that did not fit into the batch before
  while (sent < pictures.length && !mine.halted) {
    const texts = { desk, upload, name: top }, names = [], pieces = {};
    for (let bytes = 0; sent < pictures.length && names.length < BATCH_FILES; sent++) {
      const { path, open } = pictures[sent];
      const file = waiting ?? (await opened(open));
      waiting = null;
      if (!file) { lost += 1; continue; }
      bytes += file.size;
      if (names.length && bytes > BATCH_BYTES) { waiting = file; break; }
      pieces[`f${names.length}`] = new File([file], "picture");
      names.push(path);
    }
    if (!names.length) break;
    const answer = await server.gather({ binary: true, data: { ...texts, names: JSON.stringify(names), ...pieces } });
    if (!answer || answer.error) { free(); return complain(answer?.error); }
    const values = { job: "bring", i: sent.toLocaleString(), count: pictures.length.toLocaleString() };
    progressNote({ note: "train.job_bring", values }, sent / pictures.length);
  }
  const stopped = mine.halted;
  const answer = await server.gathered({ desk, upload, name: top, stopped });
  free();
  if (stopped) return;
  if (!answer?.source) return complain(answer?.error);
  useSource(answer.source);
  if (lost + answer.skipped) complain(t("train.left_out", { count: lost + answer.skipped }));
}
async function opened(open) {
  try { return await open(); } catch { return null; } // it is gone, or may not be read
}

/**
 * Choose a folder. A browser that has no picker of its own for that fills a list of files instead, and stands still
 * meanwhile: for ten seconds with 50,000.
 */
async function pickFolder() {
  if (!window.showDirectoryPicker) return find(".pictures-folder").click();
  complain("");
  let folder;
  try { folder = await showDirectoryPicker({ id: "atelier", mode: "read" }); } catch (error) {
    if (error.name !== "AbortError") find(".pictures-folder").click(); // it may not be used within a frame
    return;
  }
  sendFolders([folder]);
}
async function sendFolders(entries) {
  const mine = await claim();
  if (!mine) return;
  const found = { pictures: [], others: 0 };
  progressNote({ note: "train.job_list", values: { job: "bring", count: 0 } }, 0);
  for (const entry of entries) await list(entry, "", found, 0, mine);
  if (mine.halted) return free();
  return sendMany(found.pictures, found.others, mine);
}
async function list(entry, folder, found, depth, mine) {
  if (mine.halted || found.pictures.length > props.most || entry.name.startsWith(".")) return;
  const path = folder + entry.name;
  if (entry.kind === "directory") {
    if (depth > 8) return;
    for await (const inner of entry.values()) await list(inner, `${path}/`, found, depth + 1, mine);
    return;
  }
  if (PICTURE.test(entry.name)) found.pictures.push({ path, open: () => entry.getFile() });
  else found.others += 1;
  const count = found.pictures.length + found.others, values = { job: "bring", count: count.toLocaleString() };
  if (count % 250) return;
  progressNote({ note: "train.job_list", values }, 0);
  await pause(0); // entries come faster than the page's own timers, which would wait for the last of them
}

/** What a drop brings, an older kind of entry, as if it had been picked. */
function asPicked(entry) {
  const { name } = entry;
  const getFile = () => new Promise((done, failed) => entry.file(done, failed));
  if (entry.isFile) return { kind: "file", name, getFile };
  const values = async function* () {
    const reader = entry.createReader();
    for (;;) { // a reader gives a hundred at a time
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return;
      yield* some.map(asPicked);
    }
  };
  return { kind: "directory", name, values };
}

async function sendWhole(file, purpose) {
  if (file.size > props.max_bytes) {
    const sizes = { size: gigabytes(file.size), limit: gigabytes(props.max_bytes) };
    return complain(t("stage.too_big", { name: file.name, ...sizes }));
  }
  const mine = await claim();
  if (!mine) return;
  const receive = onDesk(server.receive);
  const piece = (form) => receive({ ...form, data: { ...form.data, purpose } });
  const answer = await atelier.files.send(
    (form) => (mine.halted ? { error: t("train.halted") } : piece(form)), file,
    (part) => progressNote({ note: "train.job_send", values: { job: "bring", name: file.name } }, part), false,
  );
  free();
  if (answer.error) return complain(answer.error);
  if (answer.source) return useSource(answer.source);
  film = answer.film;
  askFrames();
}

// A film is taken apart into frames; how many of them is the person's choice.
function askFrames() {
  const place = find(".pictures-film") ?? made("form", "pictures-film");
  const label = made("label"), every = made("input"), says = made("span", "pictures-film-says");
  const ok = made("button", "lead", t("train.frames_take")), no = made("button", "", t("brush.cancel"));
  Object.assign(every, { type: "number", min: 0.1, max: 60, step: 0.1 });
  every.value = Math.max(0.2, Math.round(film.seconds / 40) / 10 || 0.2);
  const frames = () => Math.floor(film.seconds / (Number(every.value) || 1)) + 1;
  const count = () => put(says, t("train.frames_says", { count: frames() }));
  every.addEventListener("input", count);
  label.append(made("span", "", t("train.frames_every", { name: film.name })), every, made("span", "", "s"));
  ok.type = "submit";
  no.addEventListener("click", () => place.remove());
  place.replaceChildren(label, says, ok, no);
  place.onsubmit = (event) => {
    event.preventDefault();
    place.remove();
    begin({ job: "frames", file: film.id, every_s: Number(every.value) });
  };
  count();
  invite.append(place);
  every.focus();
}
finished.frames = ({ source: made, skipped }) => {
  useSource(made);
  if (skipped) complain(t("train.frames_skipped", { count: skipped }));
};

async function showSets() {
  const answer = await server.sets({});
  const sets = answer?.sets ?? [];
  find(".pictures-earlier").hidden = !sets.length;
  find(".pictures-sets").replaceChildren(...sets.slice(0, 12).map(({ name }) => {
    const one = made("button", "", name);
    one.addEventListener("click", () => useSource({ set: name }));
    return one;
  }));
}

Object.assign(actions, {
  folder: pickFolder,
  files: () => find(".pictures-files").click(),
  others: () => {
    server.stop({ desk });
    useSource(null);
    showSets();
    find("[data-do=folder]").focus({ preventScroll: true });
  },
});
const halt = actions.halt;
actions.halt = () => { if (working === "bring") bringing.halted = true; else halt(); };
find(".pictures-files").accept = ["image/*", "video/*", ".zip", ...props.suffixes, ...props.films].join();
find(".pictures-path").hidden = !props.paths;
find(".pictures-path").addEventListener("submit", (event) => {
  event.preventDefault();
  const path = event.target.elements.path.value.trim();
  complain("");
  if (path) useSource({ path });
});
atelier.dropzone(find(".pictures"), {
  taken: take, chooser: find(".pictures-files"), folder: find(".pictures-folder"), most: 0, // folders are listed here
});
find(".pictures").addEventListener("drop", ({ dataTransfer }) => {
  const entries = [...(dataTransfer?.items ?? [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.some((entry) => entry.isDirectory)) sendFolders(entries.map(asPicked));
});
