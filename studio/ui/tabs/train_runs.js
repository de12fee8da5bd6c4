
// ---- the runs, and the one that is watched

const ALIVE = ["starting", "running", "pausing", "paused", "stopping"];
const ENDED = ["done", "stopped", "failed", "interrupted"];
const CHARTS = [
  { name: "loss", lines: ["loss_G", "loss_D", "loss", "loss_rec", "loss_kl"] },
  { name: "score", lines: ["score_real", "score_fake"] },
  { name: "ada", lines: ["ada_p", "ada_rt"], zero: true },
  { name: "health", lines: ["diversity", "copies"], zero: true },
  { name: "distance", lines: ["KID"], zero: true },
  { name: "cover", lines: ["precision", "recall", "density", "coverage"], zero: true },
  { name: "pace", lines: ["images_per_s"], zero: true },
];
let runs = [], chosen = atelier.recall("train.run") ?? "", facts = null, charts = new Map();
const stateOf = (run) => t(`train.state_${run.state}`);

async function refresh() {
  const have = Object.fromEntries(all(".run").map((row) => [row.dataset.run, row.dataset.sample ?? ""]));
  const answer = await server.runs({ have });
  if (!answer?.runs) return answer?.error && complain(answer.error);
  const before = JSON.stringify(runs.map(({ name }) => name));
  runs = answer.runs;
  const alive = runs.filter(({ state }) => ALIVE.includes(state)).length;
  put(find(".workshop-count"), runs.length ? `${alive || runs.length}` : "");
  find(".workshop-count").classList.toggle("busy", alive > 0);
  if (before !== JSON.stringify(runs.map(({ name }) => name))) loadOrigins();
  if (room() !== "runs") return;
  if (!runs.some(({ name }) => name === chosen)) {
    select((runs.find(({ state }) => ALIVE.includes(state)) ?? runs[0])?.name ?? "", false);
  }
  showRuns();
  if (chosen) await followRun();
  else find(".watched").hidden = true;
  if (answer.problem) complain(answer.problem);
}

function showRuns() {
  find(".runs-none").hidden = runs.length > 0;
  const list = find(".runs"), rows = new Map([...list.children].map((row) => [row.dataset.run, row]));
  runs.forEach((run, i) => {
    const row = rows.get(run.name) ?? runRow(run.name);
    rows.delete(run.name);
    if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
    const here = run.name === chosen, share = run.total ? Math.min(1, run.kimg / run.total) : 0;
    row.setAttribute("aria-selected", here);
    row.tabIndex = here ? 0 : -1;
    row.dataset.state = run.state;
    const now = run.state === "queued" ? t("train.place", { place: run.place }) : stateOf(run);
    put(row.querySelector(".run-state"), now);
    const far = run.kimg || run.total ? `${rounded(run.kimg)} / ${rounded(run.total)} kimg` : "";
    put(row.querySelector(".run-kimg"), far);
    row.querySelector(".run-bar span").style.width = `${100 * share}%`;
    if (run.thumb) {
      row.dataset.sample = run.sample;
      row.querySelector("img").src = run.thumb;
      row.classList.add("has-thumb");
    }
  });
  for (const gone of rows.values()) gone.remove();
}
function runRow(name) {
  const row = made("button", "run"), img = made("img");
  const words = made("span", "run-words"), bar = made("span", "run-bar");
  row.dataset.run = name;
  row.setAttribute("role", "option");
  img.alt = "";
  bar.append(made("span"));
  words.append(made("b", "", name), made("span", "run-state"), made("span", "run-kimg"), bar);
  row.append(img, words);
  row.addEventListener("click", () => select(name));
  return row;
}
find(".runs").addEventListener("keydown", (event) => {
  const i = runs.findIndex(({ name }) => name === chosen);
  const next = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: runs.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  const run = runs[Math.min(runs.length - 1, Math.max(0, next))];
  select(run.name);
  find(`.run[data-run="${CSS.escape(run.name)}"]`)?.focus();
});

function select(name, again = true) {
  if (name === chosen && facts) return;
  chosen = name;
  atelier.keep("train.run", chosen);
  facts = null;
  samples = [];
  held = null;
  sampleShown = "";
  pictures.clear();
  stop();
  charts = new Map();
  find(".charts").replaceChildren();
  find(".watched").hidden = true;
  find(".watched-sure").hidden = true;
  find(".watched-pairs").hidden = true;
  find(".watched-pairs img").removeAttribute("src");
  if (again) { complain(""); refresh(); }
}

// ---- one run: what it says of itself

let following = false;
async function followRun() {
  if (following) return;
  following = true;
  const name = chosen;
  try {
    const log = find(".watched-details").open ? facts?.log_size : -1;
    const have = facts ? { ticks: facts.stamp, samples: facts.timeline, log } : {};
    const answer = await server.follow({ run: name, have });
    if (name !== chosen) return;
    if (!answer?.name) { if (answer?.error) complain(answer.error); return; }
    facts = { ...facts, ...answer };
    showRun(answer);
  } finally { following = false; }
}

function showRun(answer) {
  const { state, kimg, total } = facts, alive = ALIVE.includes(state), busy = state === "running";
  find(".watched").hidden = false;
  find(".watched").dataset.state = state;
  put(find(".watched-title b"), facts.name);
  put(find(".watched-title .chip"), state === "queued" ? t("train.place", { place: facts.place }) : stateOf(facts));
  const count = facts.pictures ? t("train.count", { count: facts.pictures.toLocaleString() }) : "";
  const about = [facts.recipe, facts.side ? `${facts.side} px` : "", count, facts.data];
  put(find(".watched-facts"), about.filter(Boolean).join(" · "));
  const share = total ? Math.min(1, kimg / total) : 0, bar = find(".watched-head .stage-progress");
  bar.firstElementChild.style.width = `${100 * share}%`;
  bar.setAttribute("aria-valuenow", Math.round(100 * share));
  const pace = [
    total ? t("train.done_of", { kimg: rounded(kimg), total: rounded(total) }) : "",
    busy && facts.images_per_s ? t("train.pace", { n: rounded(facts.images_per_s) }) : "",
    alive && facts.memory_bytes ? gigabytes(facts.memory_bytes) : "",
  ];
  put(find(".watched-progress"), pace.filter(Boolean).join(" · "));
  const left = busy && facts.eta_s ? t("train.left", { time: duration(facts.eta_s) }) : "";
  const trained = facts.trained_s && !busy ? t("train.trained", { time: duration(facts.trained_s) }) : "";
  put(find(".watched-left"), left || trained);
  // done early: it says why
  const telling = ["failed", "interrupted"].includes(state) || (state === "done" && kimg < total);
  put(find(".watched-message"), telling ? facts.message : "");
  const can = {
    pause: ["starting", "running"].includes(state),
    stop: [...ALIVE, "queued", "interrupted"].includes(state) && state !== "stopping",
    resume: ["paused", "pausing"].includes(state) || (ENDED.includes(state) && facts.begun),
    kill: state === "stopping",
  };
  for (const [name, on] of Object.entries(can)) find(`.watched-buttons [data-act=${name}]`).hidden = !on;
  find(".watched-buttons [data-do=delete]").hidden = alive;
  const upTo = find(".watched-up-to"), length = upTo.querySelector("input");
  upTo.hidden = !(can.resume && !alive);
  if (length.dataset.run !== `${chosen} ${total}`) {
    length.dataset.run = `${chosen} ${total}`;
    length.value = state === "done" ? 2 * total : total;
  }
  find(".watched-buttons [data-do=like]").hidden = !facts.settings || !recipes.has(facts.recipe);
  showWarnings(facts.warnings ?? []);
  if (answer.samples) showTimeline(answer.samples);
  if (answer.series) showCharts(answer.series, answer.trends);
  showUse();
  showPairs();
  put(find(".watched-details .command"), facts.command || t("train.by_hand"));
  if (answer.log !== undefined) put(find(".log"), answer.log || t("train.no_log"));
  light();
}
find(".watched-details").addEventListener("toggle", () => { if (facts) { facts.log_size = -2; followRun(); } });

const WARNED = ["collapse", "memorisation", "overfitting", "diverged", "unmeasured"];
const MILD = ["diverged", "unmeasured"]; // nothing need be done
function showWarning({ warning, message, kimg }) {
  const row = made("li", MILD.includes(warning) ? "" : "grave"), words = made("div"), more = made("details");
  const known = WARNED.includes(warning), what = known ? t(`train.warn_${warning}`) : warning;
  words.append(made("b", "", t("train.warned", { what, kimg: rounded(kimg) })));
  if (known) {
    more.append(made("summary", "", t("train.measured")), made("p", "finding-names", message));
    words.append(made("p", "", t(`train.advice_${warning}`)), more);
  } else words.append(made("p", "", message));
  row.append(words);
  return row;
}
let warned = "";
function showWarnings(found) {
  const key = JSON.stringify(found);
  if (key === warned) return; // what is unfolded stays so
  warned = key;
  find(".warnings").replaceChildren(...found.toReversed().map(showWarning));
}

// ---- what is asked of it

find(".watched-head").addEventListener("click", async (event) => {
  const act = event.target.closest("[data-act]")?.dataset.act;
  if (!act || !chosen) return;
  complain("");
  const name = chosen, button = event.target.closest("[data-act]");
  button.disabled = true;
  const length = Number(find(".watched-up-to input").value);
  const longer = act === "resume" && ENDED.includes(facts?.state);
  const answer = await server.act({ run: name, act, ...(longer && { kimg: length }) });
  button.disabled = false;
  if (answer?.error || !answer) return complain(answer?.error);
  if (act === "delete") { find(".watched-sure").hidden = true; chosen = ""; facts = null; }
  refresh();
});
Object.assign(actions, {
  delete: () => {
    put(find(".watched-sure span"), t("train.sure", { name: chosen }));
    find(".watched-sure").hidden = false;
    find(".watched-sure [data-do=keep]").focus();
  },
  keep: () => { find(".watched-sure").hidden = true; find("[data-do=delete]").focus(); },
  like: () => {
    wish = { preset: "", recipe: facts.recipe, settings: { ...facts.settings }, watching: {} };
    ownName = false;
    showForm();
    enter("prepare");
    if (facts.source) useSource(facts.source); else changed();
  },
});

// ---- its samples, from the first to the latest

let samples = [], place = -1, held = null, playing = 0, sampleShown = "";
const pictures = new Map(); // by kimg, those used last
const frame = find(".samples-frame"), range = find(".samples-time input");
const [before, after] = [frame.querySelector(".compare-before"), frame.querySelector(".compare-after")];
const compare = atelier.compare(frame, { key: "train.compare", enabled: () => held !== null });

function showTimeline(kimgs) {
  const latest = place < 0 || place >= samples.length - 1;
  const was = samples;
  samples = kimgs;
  // Of a long run the page has as many as it can show, others each time: a moment is found again by its age.
  const again = (i) => (i === null || !(i in was) ? i : Math.max(0, samples.findLastIndex((kimg) => kimg <= was[i])));
  [place, held] = [again(place), again(held)];
  find(".watched-samples").hidden = !samples.length;
  range.max = Math.max(0, samples.length - 1);
  if (latest && !playing) place = samples.length - 1; // who looks at the end stays there
  place = Math.min(place, samples.length - 1);
  showSample();
}
async function pictureAt(i) {
  const name = chosen, kimg = samples[i];
  if (pictures.has(kimg)) return pictures.get(kimg);
  const answer = await server.sample({ run: name, kimg });
  if (!answer?.picture || name !== chosen) return null;
  pictures.set(kimg, answer.picture);
  if (pictures.size > 80) pictures.delete(pictures.keys().next().value);
  return answer.picture;
}
let fetching = false, wanted = false;
async function showSample() {
  if (place < 0) return;
  range.value = place;
  atelier.fillTrack(range);
  const label = (i) => t("train.at", { kimg: rounded(samples[i]) });
  put(find(".samples-time output"), `${label(place)} · ${place + 1} / ${samples.length}`);
  range.setAttribute("aria-valuetext", label(place));
  if (fetching) { wanted = true; return; }
  fetching = true;
  do {
    wanted = false;
    const key = `${chosen} ${samples[place]} ${held}`;
    if (key === sampleShown) continue;
    const picture = await pictureAt(place), other = held === null ? picture : await pictureAt(held);
    if (!picture) break;
    sampleShown = key;
    after.src = picture;
    before.src = other ?? picture;
    await after.decode().catch(() => {});
    frame.style.setProperty("--ratio", after.naturalWidth / after.naturalHeight || 1);
    after.alt = label(place);
    before.alt = held === null ? "" : label(held);
  } while (wanted);
  fetching = false;
  frame.classList.toggle("comparing", held !== null);
  put(frame.querySelector(".compare-left"), held === null ? "" : label(held));
  put(frame.querySelector(".compare-right"), held === null ? "" : label(place));
}
range.addEventListener("input", () => { stop(); place = Number(range.value); showSample(); });
function stop() {
  clearInterval(playing);
  playing = 0;
  find("[data-do=play]").setAttribute("aria-pressed", false);
  put(find("[data-do=play]"), t("train.play"));
}
Object.assign(actions, {
  play: () => {
    if (playing) return stop();
    if (place >= samples.length - 1) place = 0;
    const step = Math.max(1, Math.round(samples.length / 120));
    playing = setInterval(() => {
      if (fetching) return;
      if (place >= samples.length - 1 || !element.isConnected || !element.offsetParent) return stop();
      place = Math.min(samples.length - 1, place + step);
      showSample();
    }, 110);
    find("[data-do=play]").setAttribute("aria-pressed", true);
    put(find("[data-do=play]"), t("train.play_stop"));
    showSample();
  },
  compare: () => {
    held = held === null ? place : null;
    if (held !== null && held === samples.length - 1 && samples.length > 1) held = 0; // something else than itself
    if (held !== null) compare.move(50);
    find("[data-do=compare]").setAttribute("aria-pressed", held !== null);
    showSample();
  },
  film: () => begin({ job: "film", run: chosen }),
  picture: async () => {
    const picture = await pictureAt(place);
    if (!picture) return;
    atelier.files.save(await (await fetch(picture)).blob(), `${chosen} ${samples[place]} kimg.jpg`);
  },
});

// ---- charts

function showCharts(series, trends) {
  const findLine = (name) => Object.keys(series).filter((key) => key === name || key.endsWith(`-${name}`));
  const label = (key) => told(`train.line_${key.split("-").at(-1)}`, key);
  const paired = ([xs, ys]) => xs.map((x, i) => [x, ys[i]]);
  const line = (key) => ({ name: label(key), points: paired(series[key]), trend: paired(trends[key]) });
  const to = Math.max(facts.kimg || 0, ...Object.values(series).map(([kimg]) => kimg.at(-1) ?? 0));
  for (const { name, lines, zero } of CHARTS) {
    const found = lines.flatMap(findLine).filter((key) => series[key][0].length);
    if (!found.length) continue;
    if (!charts.has(name)) {
      const one = made("div");
      find(".charts").append(one);
      charts.set(name, atelier.chart(one, { title: t(`train.chart_${name}`), unit: "kimg", zero }));
    }
    charts.get(name).show(found.map(line), 0, to);
  }
  find(".watched-charts").hidden = !charts.size;
}

// ---- samples beside what they are most like

const BY_HEART = 25; // %, as train/health.py judges
async function showPairs() {
  if (!facts.pairs) find(".watched-pairs").hidden = true;
  const share = facts.series?.copies?.[1].at(-1);
  const values = { share: Math.round(100 * share), limit: BY_HEART };
  put(find(".pairs-share"), share === undefined ? "" : t("train.pairs_share", values));
  if (!facts.pairs || facts.pairs === facts.pairs_shown) return;
  facts.pairs_shown = facts.pairs;
  const name = chosen, answer = await server.nearest({ run: name });
  if (name !== chosen || !answer?.picture) return;
  find(".watched-pairs").hidden = false;
  find(".watched-pairs img").src = answer.picture;
  find(".watched-pairs img").alt = t("train.pairs");
}

// ---- the beginning: what was there before a reload is there again

async function loadOrigins() {
  origins = { ...origins, ...((await server.origins({})) ?? {}) };
  showForm();
}
const keptWish = atelier.recall("train.wish"), keptSource = atelier.recall("train.source");
const goodWish = keptWish && recipes.has(keptWish.recipe) && typeof keptWish.settings === "object";
if (goodWish) wish = { ...wish, ...keptWish };
const known = new Set(recipe().fields.map(({ name }) => name));
wish.settings = Object.fromEntries(Object.entries(wish.settings).filter(([name]) => known.has(name)));
showForm();
loadPresets();
showSets();
loadOrigins();
enter();
(async () => {
  const report = await server.watch({ desk, shown: 0 });
  if (report?.state) idle = follow(report);
  const looking = report?.state && report.values?.job === "look";
  if (keptSource && typeof keptSource === "object") useSource(keptSource, !looking);
  else { showPictures(); changed(); }
  for (;;) {
    await pause(document.hidden ? 4000 : 1500);
    if (!element.isConnected) return;
    if (element.offsetParent && !document.hidden) await refresh();
  }
})();
