// The models tab: what is installed, more of it, publishing, the Hub's cache. This part holds what the rooms share;
// models_installed.js, models_add.js and models_publish.js follow it within the same function.
const t = atelier.t.bind(atelier);
const box = element.querySelector(".workshop");
const find = (selector) => box.querySelector(selector);
const all = (selector) => [...box.querySelectorAll(selector)];
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const actions = {}, entered = {}; // by data-do; by room, what is done when it is entered
atelier.translate(element);

const made = (tag, style = "", words = "") => {
  const one = document.createElement(tag);
  one.className = style;
  one.textContent = words;
  if (tag === "button") one.type = "button";
  return one;
};
const put = (place, words) => { if (place.textContent !== words) place.textContent = words; };
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

// Its own desk: what is fetched here is none of the other tabs' work.
const desk = (() => {
  try {
    const kept = sessionStorage.getItem("atelier.models.desk");
    if (/^[0-9a-f]{32}$/.test(kept)) return kept;
    const name = atelier.pageName();
    sessionStorage.setItem("atelier.models.desk", name);
    return name;
  } catch { return atelier.pageName(); }
})();
const onDesk = (send) => (form) => send(form.binary ? { ...form, data: { ...form.data, desk } } : { ...form, desk });

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

// ---- the rooms

const rooms = props.own ? ["installed", "add", "publish", "cache"] : ["installed"];
let room = rooms.includes(atelier.recall("models.room")) ? atelier.recall("models.room") : "installed";
find(".workshop-rooms").hidden = !props.own;
find(".models-visitor").hidden = props.own;
function enter(name, focus = false) {
  room = name;
  atelier.keep("models.room", room);
  quiet();
  for (const tab of all("[role=tab][data-room]")) {
    const here = tab.dataset.room === room;
    tab.setAttribute("aria-selected", here);
    tab.tabIndex = here ? 0 : -1;
    if (here && focus) tab.focus();
  }
  for (const place of all(".workshop-room")) place.hidden = place.dataset.room !== room;
  entered[room]?.();
}
find(".workshop-rooms").addEventListener("click", (event) => {
  const name = event.target.closest("[data-room]")?.dataset.room;
  if (name) enter(name);
});
find(".workshop-rooms").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  event.stopPropagation();
  enter(rooms[(rooms.indexOf(room) + step + rooms.length) % rooms.length], true);
});
box.addEventListener("click", (event) => {
  const name = event.target.closest("[data-do]")?.dataset.do;
  if (name) actions[name]?.(event);
});

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
  let wait = 60; // ms; much work is done at once
  working = report.values?.job || job || "install";
  while (["waiting", "running"].includes(report.state)) {
    working = report.values?.job ?? working;
    showWork(report);
    await pause(document.hidden ? 3000 : wait);
    wait = Math.min(400, 1.5 * wait);
    if (!element.isConnected) return;
    report = (await server.watch({ desk, shown: 0 })) ?? report; // a server that does not answer may come back
  }
  const ended = working;
  let result = null;
  if (report.state === "failed") complain(report.error);
  const stopped = { install: "models.cancelled_kept", publish: "models.cancelled_publish" }[ended];
  if (report.state === "stopped") tell(t(stopped ?? "models.cancelled"));
  if (report.state === "done") {
    const got = await atelier.files.fetched(onDesk(server.take), report.file);
    result = got.file ? JSON.parse(await got.file.text()) : null;
    if (!result) complain(got.error);
  }
  await server.stop({ desk }); // what has ended is forgotten
  working = "";
  showWork(null);
  if (result) await finished[ended]?.(result);
  else await finished.otherwise?.(ended);
}

function showWork(report) {
  const place = find(".models-work");
  place.hidden = !report;
  light();
  if (!report) return;
  const percent = Math.round(100 * report.fraction);
  const waiting = report.state === "waiting", { note, values, ahead } = report;
  put(place.querySelector(".stage-work-note"), waiting ? t("stage.waiting", { ahead }) : note ? t(note, values) : "");
  put(place.querySelector(".stage-work-percent"), percent ? `${percent}%` : "");
  place.querySelector(".stage-progress").setAttribute("aria-valuenow", percent);
  place.querySelector(".stage-progress span").style.width = `${percent}%`;
}
actions.halt = () => { if (working === "bring") working = ""; else server.stop({ desk }); };
