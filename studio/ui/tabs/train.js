// The train tab: a room in which a training is prepared, and one in which runs are watched. This part holds what both
// share; train_pictures.js, train_recipe.js, train_use.js and train_runs.js follow it within the same function.
const t = atelier.t.bind(atelier);
const {
  box, find, all, made, put, pause, actions, desk, onDesk, enter, room, ended, fetched, showProgress,
} = atelier.workshop(element, server, {
  name: "train", rooms: ["prepare", "runs"], entered() { complain(""); refresh(); },
});
const alertLine = find(".workshop-alert");
/** The message of a key that is put together; `otherwise` where the locales have none. */
const told = (key, otherwise) => { const words = t(key); return words === key ? otherwise : words; };
const complain = (sentence) => put(alertLine, sentence ?? t("live.lost"));

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

actions.prepare = () => enter("prepare");

// ---- work that takes long: one thing at a time, found again after a reload

const finished = {}; // by job: what is done with its result
let working = ""; // the job
let idle = Promise.resolve();
let bringing = null; // {halted}: pictures that are on their way from this page
let looks = 0;
const placeOf = {
  look: "pictures", bring: "pictures", frames: "pictures", measure: "begin",
  explore: "runs", export: "runs", film: "runs",
};

/** Wait for the job under way; a look at pictures and a measurement end for it, as what they are of changes. */
async function settled() {
  if (working === "look" || working === "measure") server.stop({ desk });
  if (working && working !== "bring") await idle;
}

/** Begin a job, {job, ...}. Pictures are always looked at, if need be after what is under way. */
async function begin(asked) {
  if (asked.job === "look") {
    const mine = ++looks;
    await settled();
    if (mine !== looks) return; // others have been chosen meanwhile
  } else if (working === "look") await idle;
  const report = await server.begin({ desk, ...asked });
  if (!report?.state) return complain(report?.error);
  await (idle = follow(report, asked.job));
}

/** Show how a job goes on, and do with its result what is to be done. A job found again says itself which it is. */
async function follow(report, job) {
  const began = performance.now();
  job ??= report.values?.job || "look";
  working = job;
  report = await ended(report, (now) => {
    // a measurement takes its time whatever it finds
    const passed = (performance.now() - began) / 1000 / props.measure_s;
    showWork({ ...now, fraction: job === "measure" ? Math.min(0.97, passed) : now.fraction });
  });
  if (!report) { working = ""; return; }
  let result = null;
  if (report.state === "failed") {
    if (job === "look") useSource(null); // there is nothing to be learned from
    complain(report.error);
  }
  if (report.state === "done" && job !== "film" && job !== "export") {
    const got = await fetched(report);
    result = got.result;
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
  place.hidden = false;
  showProgress(place, report);
}
actions.halt = () => server.stop({ desk });
