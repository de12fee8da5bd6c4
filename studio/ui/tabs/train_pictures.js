
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
  const sides = report.widths.least === report.widths.most && report.heights.least === report.heights.most
    ? `${report.widths.most} × ${report.heights.most} px`
    : t("train.sizes", { least: Math.min(report.widths.least, report.heights.least), most: Math.max(report.widths.most, report.heights.most) });
  const facts = [t("train.count", { count: report.pictures.toLocaleString() }), count ? t("train.folders", { count }) : "", report.pictures ? sides : ""];
  put(find(".pictures-facts"), facts.filter(Boolean).join(" · "));
  const findings = report.findings.length ? report.findings : [{ kind: "well", grave: false, count: report.pictures, names: [], thumbs: [] }];
  find(".pictures-found .findings").replaceChildren(...findings.map(showFinding));
}

// What each finding says in the reader's words; the doctor's own sentence where there are none.
const FOUND = ["well", "none", "few", "fair", "unreadable", "copies", "alike", "small", "wide", "classes", "grey"];
function showFinding({ kind, grave, count, message, names, thumbs }) {
  const row = made("li", grave ? "grave" : kind === "well" ? "well" : ""), words = made("div");
  const values = { count: count.toLocaleString(), side: report.resolution, largest: report.largest };
  const name = kind === "few" && count >= 100 ? "fair" : kind;
  words.append(made("p", "", FOUND.includes(name) ? t(`train.found_${name}`, values) : message));
  const act = {
    small: report.largest >= 16 && { label: t("train.use_side", { side: report.largest }), run: () => setField("resolution", report.largest) },
    grey: { label: t("train.use_grey"), run: () => setField("channels", 1) },
    few: count < 100 && props.small_preset && { label: t("train.use_small"), run: () => choosePreset(props.small_preset) },
  }[kind];
  if (act) {
    const button = made("button", "", act.label);
    button.addEventListener("click", act.run);
    words.append(button);
  }
  row.append(words);
  if (names.length) {
    const more = made("details"), list = made("p", "finding-names", names.join(", ") + (count > names.length ? " …" : ""));
    more.append(made("summary", "", t("train.which")), list);
    if (thumbs.length) {
      const strip = made("div", "finding-thumbs");
      strip.append(...thumbs.map(({ name, picture }) => { const img = made("img"); img.src = picture; img.alt = img.title = name; return img; }));
      more.append(strip);
    }
    words.append(more);
  }
  return row;
}

// ---- what the network will see

let seen = null, showing = "cropped", glance = 0, looking = false, lookAgain = false;
async function preview() {
  if (!source || !report?.pictures) { find(".seen").hidden = true; return; }
  if (looking) { lookAgain = true; return; }
  looking = true;
  do {
    lookAgain = false;
    const answer = await server.preview({ source, ...wished(), seed: glance });
    if (answer?.cropped) { seen = answer; showSeen(); } else { find(".seen").hidden = true; seen = null; }
  } while (lookAgain);
  looking = false;
}
function showSeen() {
  find(".seen").hidden = false;
  for (const key of all("[data-seen]")) key.setAttribute("aria-pressed", key.dataset.seen === showing);
  find("[data-do=again]").hidden = showing !== "augmented" || !seen.changes;
  put(find(".seen-says"), t(showing === "cropped" ? "train.cropped_says" : seen.changes ? "train.augmented_says" : "train.augmented_not", { side: sideOf() }));
  find(".seen-cells").replaceChildren(...seen[showing].map((picture, i) => {
    const img = made("img");
    img.src = picture;
    img.alt = img.title = seen.names[i];
    return img;
  }));
}
find(".seen-head").addEventListener("click", (event) => {
  const name = event.target.closest("[data-seen]")?.dataset.seen;
  if (name && seen) { showing = name; showSeen(); }
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
  const pictures = wanted.filter((file) => PICTURE.test(file.name));
  if (pictures.length < 2) return complain(t("train.no_pictures", { count: wanted.length }));
  if (pictures.length > props.most) return complain(t("train.too_many", { count: pictures.length, most: props.most }));
  return sendMany(pictures, wanted.length - pictures.length);
}

async function sendMany(files, others) {
  const upload = atelier.pageName();
  const tops = new Set(files.map((file) => file.webkitRelativePath.split("/")[0]));
  const top = tops.size === 1 && [...tops][0] ? [...tops][0] : t("train.pictures");
  working = "bring";
  let sent = 0;
  while (sent < files.length && working === "bring") {
    const batch = [];
    for (let bytes = 0; sent + batch.length < files.length && batch.length < BATCH_FILES; ) {
      const next = files[sent + batch.length];
      if (batch.length && bytes + next.size > BATCH_BYTES) break;
      bytes += next.size;
      batch.push(next);
    }
    const names = batch.map((file) => file.webkitRelativePath || file.name);
    const pieces = Object.fromEntries(batch.map((file, i) => [`f${i}`, new File([file], "picture")]));
    const answer = await server.gather({ binary: true, data: { desk, upload, name: top, names: JSON.stringify(names), ...pieces } });
    if (!answer || answer.error) { working = ""; showWork(null); return complain(answer?.error); }
    sent += batch.length;
    progressNote({ note: "train.job_bring", values: { job: "bring", i: sent, count: files.length } }, sent / files.length);
  }
  const stopped = working !== "bring";
  working = "";
  showWork(null);
  const answer = await server.gathered({ desk, upload, name: top, stopped });
  if (stopped) return;
  if (!answer?.source) return complain(answer?.error);
  useSource(answer.source);
  if (others + answer.skipped) complain(t("train.left_out", { count: others + answer.skipped }));
}

async function sendWhole(file, purpose) {
  if (file.size > props.max_bytes) {
    return complain(t("stage.too_big", { name: file.name, size: gigabytes(file.size), limit: gigabytes(props.max_bytes) }));
  }
  working = "bring";
  const receive = onDesk(server.receive);
  const answer = await atelier.files.send(
    (form) => (working === "bring" ? receive({ ...form, data: { ...form.data, purpose } }) : { error: t("train.halted") }), file,
    (part) => progressNote({ note: "train.job_send", values: { job: "bring", name: file.name } }, part), false,
  );
  working = "";
  showWork(null);
  if (answer.error) return complain(answer.error);
  if (answer.source) return useSource(answer.source);
  film = answer.film;
  askFrames();
}

// A film is taken apart into frames; how many of them is the person's choice.
function askFrames() {
  const place = find(".pictures-film") ?? made("form", "pictures-film");
  const label = made("label"), every = made("input"), says = made("span", "pictures-film-says"), ok = made("button", "lead", t("train.frames_take")), no = made("button", "", t("brush.cancel"));
  every.type = "number";
  every.min = 0.1;
  every.max = 60;
  every.step = 0.1;
  every.value = Math.max(0.2, Math.round(film.seconds / 40) / 10 || 0.2);
  const count = () => put(says, t("train.frames_says", { count: Math.floor(film.seconds / (Number(every.value) || 1)) + 1 }));
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
  folder: () => find(".pictures-folder").click(),
  files: () => find(".pictures-files").click(),
  others: () => { server.stop({ desk }); useSource(null); showSets(); find("[data-do=folder]").focus({ preventScroll: true }); },
});
const halt = actions.halt;
actions.halt = () => { if (working === "bring") working = ""; else halt(); };
find(".pictures-files").accept = ["image/*", "video/*", ".zip", ...props.suffixes, ...props.films].join();
find(".pictures-path").hidden = !props.paths;
find(".pictures-path").addEventListener("submit", (event) => {
  event.preventDefault();
  const path = event.target.elements.path.value.trim();
  complain("");
  if (path) useSource({ path });
});
atelier.dropzone(find(".pictures"), {
  taken: take, chooser: find(".pictures-files"), folder: find(".pictures-folder"), most: props.most + 1,
});
