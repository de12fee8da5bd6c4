// The train tab: a room in which a training is prepared, and one in which runs are watched. This part holds what both
// share; train_pictures.js, train_recipe.js, train_use.js and train_runs.js follow it within the same function.
const t = atelier.t.bind(atelier);
const box = element.querySelector(".workshop");
const find = (selector) => box.querySelector(selector);
const all = (selector) => [...box.querySelectorAll(selector)];
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const alertLine = find(".workshop-alert");
const actions = {};
atelier.translate(element);

const made = (tag, style = "", words = "") => {
  const one = document.createElement(tag);
  one.className = style;
  one.textContent = words;
  if (tag === "button") one.type = "button";
  return one;
};
const put = (place, words) => { if (place.textContent !== words) place.textContent = words; };
/** The message of a key that is put together; `otherwise` where the locales have none. */
const told = (key, otherwise) => { const words = t(key); return words === key ? otherwise : words; };
const complain = (sentence) => put(alertLine, sentence ?? t("live.lost"));

// Its own desk: work that is begun here is none of the other tabs'.
const desk = (() => {
  try {
    const kept = sessionStorage.getItem("atelier.train.desk");
    if (/^[0-9a-f]{32}$/.test(kept)) return kept;
    const name = atelier.pageName();
    sessionStorage.setItem("atelier.train.desk", name);
    return name;
  } catch { return atelier.pageName(); }
})();
const onDesk = (ask) => (form) => ask(form.binary ? { ...form, data: { ...form.data, desk } } : { ...form, desk });

/** How long something takes, in words that promise no more than an estimate can. */
function duration(seconds) {
  const minutes = seconds / 60, hours = minutes / 60;
  if (seconds < 55) return t("train.seconds", { n: Math.max(5, 5 * Math.round(seconds / 5)) });
  if (minutes < 59.5) return t("train.minutes", { n: Math.max(1, Math.round(minutes)) });
  if (hours >= 36) return t("train.days", { n: (hours / 24).toFixed(1) });
  const tens = 10 * Math.round(minutes / 10), whole = Math.floor(tens / 60), rest = tens % 60;
  return rest ? t("train.hours_minutes", { h: whole, m: rest }) : t("train.hours", { n: whole });
}
const gigabytes = (bytes) => (bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);
const rounded = (x) => Number(Number(x).toPrecision(3)).toLocaleString(document.documentElement.lang);

// ---- the rooms

let room = atelier.recall("train.room") === "runs" ? "runs" : "prepare";
function enter(name, focus = false) {
  room = name;
  atelier.keep("train.room", room);
  complain("");
  for (const tab of all("[role=tab][data-room]")) {
    const here = tab.dataset.room === room;
    tab.setAttribute("aria-selected", here);
    tab.tabIndex = here ? 0 : -1;
    if (here && focus) tab.focus();
  }
  for (const place of all(".workshop-room")) place.hidden = place.dataset.room !== room;
  refresh();
}
find(".workshop-rooms").addEventListener("click", (event) => {
  const name = event.target.closest("[data-room]")?.dataset.room;
  if (name) enter(name);
});
find(".workshop-rooms").addEventListener("keydown", (event) => {
  if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  event.preventDefault();
  event.stopPropagation();
  enter(room === "runs" ? "prepare" : "runs", true);
});
actions.prepare = () => enter("prepare");
box.addEventListener("click", (event) => {
  const name = event.target.closest("[data-do]")?.dataset.do;
  if (name) actions[name]?.(event);
});

// ---- work that takes long: one thing at a time, found again after a reload

const finished = {}; // by job: what is done with its result
let working = ""; // the job
let idle = Promise.resolve();
const placeOf = {
  look: "pictures", bring: "pictures", frames: "pictures", measure: "begin",
  explore: "runs", export: "runs", film: "runs",
};

/** Begin a job, {job, ...}. Another look at pictures takes the place of one that is under way. */
async function begin(asked) {
  if (working === "look" && asked.job === "look") server.stop({ desk });
  if (working === "look") await idle;
  const report = await server.begin({ desk, ...asked });
  if (!report?.state) return complain(report?.error);
  await (idle = follow(report, asked.job));
}

/** Show how a job goes on, and do with its result what is to be done. A job found again says itself which it is. */
async function follow(report, job) {
  let wait = 60; // ms; much work is done at once
  const began = performance.now();
  job ??= report.values?.job || "look";
  working = job;
  while (["waiting", "running"].includes(report.state)) {
    // a measurement takes its time whatever it finds
    const passed = (performance.now() - began) / 1000 / props.measure_s;
    showWork({ ...report, fraction: working === "measure" ? Math.min(0.97, passed) : report.fraction });
    await pause(document.hidden ? 3000 : wait);
    wait = Math.min(400, 1.5 * wait);
    if (!element.isConnected) return;
    report = (await server.watch({ desk, shown: 0 })) ?? report; // a server that does not answer may come back
  }
  let result = null;
  if (report.state === "failed") {
    if (job === "look") useSource(null); // there is nothing to be learned from
    complain(report.error);
  }
  if (report.state === "done" && job !== "film" && job !== "export") {
    const got = await atelier.files.fetched(onDesk(server.take), report.file);
    result = got.file ? JSON.parse(await got.file.text()) : null;
    if (!result) complain(got.error);
  } else if (report.state === "done") {
    const onWay = (part) => showWork({ ...report, state: "running", fraction: part });
    const sentence = await atelier.files.download(onDesk(server.take), report.file, onWay);
    if (sentence) complain(sentence);
  }
  await server.stop({ desk }); // what has ended is forgotten
  working = "";
  showWork(null);
  if (result) await finished[job]?.(result);
}

function showWork(report) {
  for (const place of all(".stage-work")) place.hidden = true;
  const place = report && find(`.${placeOf[working] ?? "pictures"}-work`);
  light();
  if (!place) return;
  const percent = Math.round(100 * report.fraction);
  place.hidden = false;
  const note = report.note ? t(report.note, report.values) : "";
  const waiting = report.state === "waiting" ? t("stage.waiting", { ahead: report.ahead }) : "";
  put(place.querySelector(".stage-work-note"), waiting || note);
  put(place.querySelector(".stage-work-percent"), percent ? `${percent}%` : "");
  place.querySelector(".stage-progress").setAttribute("aria-valuenow", percent);
  place.querySelector(".stage-progress span").style.width = `${percent}%`;
}
actions.halt = () => server.stop({ desk });
