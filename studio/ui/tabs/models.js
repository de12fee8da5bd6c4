// The models tab: what is installed, more of it, publishing, the Hub's cache. This part holds what the rooms share;
// models_installed.js, models_add.js and models_publish.js follow it within the same function.
const t = atelier.t.bind(atelier);
const rooms = props.own ? ["installed", "add", "publish", "cache"] : ["installed"];
const hears = {}; // by room, what is done when it is entered
const {
  box, find, all, made, put, pause, actions, desk, onDesk, enter, room, ended, fetched, showProgress,
} = atelier.workshop(element, server, { name: "models", rooms, entered(name) { quiet(); hears[name]?.(); } });
find(".workshop-rooms").hidden = !props.own;
find(".models-visitor").hidden = props.own;

const complain = (sentence) => {
  put(find(".workshop-alert"), sentence ?? t("live.lost"));
  // who has scrolled down must not miss it
  if (sentence !== "") find(".workshop-alert").scrollIntoView({ block: "nearest" });
};
const tell = (sentence) => put(find(".models-status"), sentence);
const quiet = () => { complain(""); tell(""); };
const megabytes = (bytes) => {
  if (bytes < 1e5) return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
};
const day = (seconds) => {
  const how = { dateStyle: "medium", timeStyle: "short" };
  return new Date(1000 * seconds).toLocaleString(document.documentElement.lang, how);
};
const joined = (...parts) => parts.filter(Boolean).join(" · ");
const licenceOf = (words) => words || t("models.licence_none");

/** Facts as names and values; what has no value is left out. */
function showFacts(place, facts) {
  const known = facts.filter(([, value]) => value);
  place.replaceChildren(...known.flatMap(([name, value]) => [made("dt", "", name), made("dd", "", value)]));
}

/** Ask the server; its sentence is shown where it refuses, and then the answer is null. */
async function ask(name, data = {}) {
  const answer = await server[name](data);
  if (answer && !answer.error) return answer;
  complain(answer?.error);
  return null;
}

// ---- a stranger's card: the server has made a plain tree of it, and here it becomes elements that hold text alone

function showCard(place, blocks) {
  place.replaceChildren();
  let list = null;
  for (const block of blocks) {
    if (block.kind === "item") {
      if (!list) place.append((list = made("ul")));
      list.append(spansIn(made("li"), block.spans));
      continue;
    }
    list = null;
    if (block.kind === "rule") place.append(made("hr"));
    else if (block.kind === "code") place.append(made("pre", "", block.text));
    else if (block.kind === "heading") place.append(spansIn(made(block.level < 3 ? "h4" : "h5"), block.spans));
    else if (block.kind === "text") place.append(spansIn(made("p"), block.spans));
    else if (block.kind === "table") place.append(cardTable(block.rows));
  }
}
function spansIn(place, spans) {
  for (const { text, style, to } of spans) {
    const one = made({ code: "code", bold: "b", slant: "i" }[style] ?? (to ? "a" : "span"), "", text);
    if (to?.startsWith("https://")) {
      const rel = "noopener noreferrer nofollow";
      Object.assign(one, { href: to, target: "_blank", rel, referrerPolicy: "no-referrer", title: to });
    }
    place.append(one);
  }
  return place;
}
function cardTable(rows) {
  const wrap = made("div", "table-wrap"), table = made("table");
  for (const [i, cells] of rows.entries()) {
    if (!i && cells.every((cell) => !cell.length)) continue;
    const row = made("tr");
    row.append(...cells.map((cell) => spansIn(made(i ? "td" : "th"), cell)));
    table.append(row);
  }
  wrap.append(table);
  return wrap;
}

// ---- work that takes long: one thing at a time, found again after a reload

const finished = {}; // by job: what is done with its result
let working = ""; // the job
const lights = []; // called where buttons may have to change
const light = () => lights.forEach((one) => one());

async function begin(asked) {
  quiet();
  const report = await server.begin({ desk, ...asked });
  if (!report?.state) return complain(report?.error);
  await follow(report, asked.job);
}

async function follow(report, job) {
  working = report.values?.job || job || "install";
  report = await ended(report, (now) => {
    working = now.values?.job ?? working;
    showWork(now);
  });
  if (!report) return;
  const was = working;
  let result = null;
  if (report.state === "failed") complain(report.error);
  const stopped = { install: "models.cancelled_kept", publish: "models.cancelled_publish" }[was];
  if (report.state === "stopped") tell(t(stopped ?? "models.cancelled"));
  if (report.state === "done") {
    const got = await fetched(report);
    result = got.result;
    if (!result) complain(got.error);
  }
  await server.stop({ desk }); // what has ended is forgotten
  working = "";
  showWork(null);
  if (result) await finished[was]?.(result);
  else await finished.otherwise?.(was);
}

function showWork(report) {
  const place = find(".models-work");
  place.hidden = !report;
  light();
  if (!report) return;
  showProgress(place, report);
}
actions.halt = () => { if (working === "bring") working = ""; else server.stop({ desk }); };
