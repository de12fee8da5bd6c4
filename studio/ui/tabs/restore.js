
// ---- restore: damage that is proposed, fills that are layers, what is saved

box.classList.add("repair");
const { has } = props;
const internal = ["suggest", "fill", "redo"]; // work whose result goes back onto the stage
hooks.labels = () => [{ value: 7, colour: "#e0367c", name: t("restore.damage") }];

brush.setLabels(hooks.labels());

const key = (name, style = "") => {
  const made = document.createElement("button");
  made.type = "button";
  made.dataset.do = name;
  made.className = style;
  made.dataset.t = `restore.${name}`;
  made.disabled = true;
  return made;
};
button("brush").before(key("suggest"));
button("brush").after(key("fill", "lead"));
if (!has.finds) button("suggest").title = t("restore.no_detector");

// The stage speaks of photos and paintings; here are pictures that are repaired.
for (const [place, key] of [
  [".compare-left", "restore.before"], [".compare-right", "restore.after"], [".stage-invite-title", "restore.invite"],
  [".stage-invite-more", "restore.invite_more"], [".stage-invite [data-do=open]", "restore.choose"],
  [".live-tools [data-do=open]", "restore.replace"], [".live-drop", "restore.drop"],
]) find(place).dataset.t = key;
atelier.translate(element);
before.alt = t("restore.before");
img.alt = t("restore.after");

// ---- files that were made here are kept by this browser too, for a server that forgets

async function keepFile({ id, name }) {
  if (await atelier.files.kept(id)) return;
  const got = await atelier.files.fetched(server.take, { id, name });
  if (got.file) await atelier.files.keep(id, got.file, name);
}

// ---- each picture has its own mask and fills, also after another one was on the stage

const NOTHING = { mask: "", layers: [], hidden: [], proposal: "" };
const works = new Map(Object.entries(atelier.recall("restore.works") ?? {}));
const listOfTexts = (value) => Array.isArray(value) && value.every((one) => typeof one === "string");
hooks.fresh = (id) => {
  const mask = batch.find((one) => one.id === id)?.mask ?? "";
  const known = works.get(id);
  if (!known || typeof known.mask !== "string" || !listOfTexts(known.layers) || !listOfTexts(known.hidden)) {
    return { ...NOTHING, mask };
  }
  return {
    ...NOTHING, mask: known.mask || (known.layers.length ? "" : mask), layers: known.layers, hidden: known.hidden,
  };
};
function rememberWork() {
  const { work, mask, layers, hidden } = current;
  if (!work) return;
  works.delete(work);
  if (mask || layers.length) works.set(work, { mask, layers, hidden });
  atelier.keep("restore.works", Object.fromEntries([...works].slice(-60)));
}

// Of many files those called NAME-mask, or NAME in a folder "masks", are the masks of NAME.
hooks.batched = (files) => {
  const plain = (name) => name.replace(/\.[^./]*$/, "").toLowerCase();
  const masks = new Map();
  for (const { id, name } of files) {
    const parts = plain(name).split("/"), last = parts.pop(), folder = parts.at(-1);
    const named = last.match(/^(.+?)[-_. ]mask$/);
    if (named) masks.set([...parts, named[1]].join("/"), { id, of: name });
    else if (/^masks?$/.test(folder ?? "")) {
      masks.set([...parts.slice(0, -1), last].join("/"), { id, of: name });
      masks.set(last, { id, of: name });
    }
  }
  const own = new Set([...masks.values()].map(({ of }) => of));
  const maskOf = (name) => masks.get(plain(name)) ?? masks.get(plain(name).split("/").pop());
  const pictures = files.filter(({ name }) => !own.has(name))
    .map((file) => ({ ...file, mask: maskOf(file.name)?.id ?? "" }));
  if (!pictures.length) return files;
  const here = pictures.find(({ id }) => id === current.work);
  if (here?.mask && !current.mask && !current.layers.length) set({ mask: here.mask });
  return pictures;
};

// ---- the picture that stands there is not sent again

let standing = "";
const { asks, shows, lights } = hooks;
hooks.asks = () => ({ ...asks(), shows: standing });
hooks.shows = async (answer, settings) => {
  standing = answer.key ?? "";
  await shows(answer, settings);
};

// ---- what can be pressed, and what is said below the picture

hooks.lights = () => {
  lights();
  const many = batch.length > 1, ready = onStage !== null && !atWork, filled = current.layers.some(Boolean);
  button("suggest").disabled = !ready || !has.finds;
  button("fill").disabled = !ready || !current.mask;
  button("save").disabled = !ready || !(filled || many);
  button("fill").classList.toggle("lead", Boolean(current.mask) || !filled);
  button("save").classList.toggle("lead", filled && !current.mask);
  button("save").textContent = many ? t("restore.save_many", { count: batch.length }) : t("restore.save");
  for (const [name, on] of [
    ["layers", filled], ["report", filled], ["session", true], ["enlarge", has.enlarges || current.enlarger],
  ]) {
    const one = document.querySelector(`#restore-${name}`);
    if (one) one.disabled = !ready || !on;
  }
  for (const one of document.querySelectorAll(".fills [data-fill=redo]")) one.disabled = !ready;
};

let listed = "", pending = "", networks = "";
hooks.changed = () => {
  box.classList.toggle("masked", Boolean(current.mask));
  if (!has.fills && !current.network && ["auto", "network"].includes(current.method)) {
    set({ method: props.classical });
    tell(statusLine, t("restore.no_network"));
  }
  const brought = JSON.stringify([current.network, current.enlarger]);
  if (brought !== networks) { networks = brought; showNetworks(); }
  const line = find(".stage-goal");
  if (onStage) {
    const { name, width, height, bits, reread } = onStage, format = current.format.toUpperCase();
    const stored = reread ? t("restore.reread") : "";
    const more = current.format === "jpeg" ? t("restore.jpeg_says")
      : current.format === "webp" && bits > 8 ? t("restore.webp_says") : "";
    const goal = batch.length > 1
      ? t("restore.goal_many", { count: batch.length, masks: batch.filter(({ mask }) => mask).length, format })
      : t("restore.goal", { name, width, height, bits, format });
    line.textContent = [goal, stored, more].filter(Boolean).join(" · ");
  } else line.textContent = "";
  const list = JSON.stringify([current.layers, current.hidden, current.work]);
  if (list !== listed || (current.layers.length && !document.querySelector(".fills li"))) {
    listed = list;
    showFills();
  }
  const proposed = JSON.stringify([current.proposal, current.threshold, current.ignored]);
  if (proposed !== pending) { pending = proposed; showProposal(); }
  if (good()) rememberWork();
  hooks.lights();
};
document.addEventListener("atelier:settled", ({ detail }) => { if (detail.view === view) rememberWork(); });

// ---- the proposal: kinds of damage, how sure, from where on

find(".brush-tools").insertAdjacentHTML("afterend", `
  <div class="proposal" role="group" data-t-label="restore.proposal" hidden>
    <div class="proposal-kinds" role="group" data-t-label="restore.kinds"></div>
    <label class="brush-size"><span data-t="restore.threshold"></span><input type="range" min="2" max="98"
      step="1"><output></output></label>
    <span class="proposal-do">
      <button type="button" class="lead" data-do="adopt" data-t="restore.adopt"></button>
      <button type="button" data-do="forget" data-t="restore.forget"></button>
    </span>
    <p></p>
  </div>`);
const proposal = find(".proposal"), overlay = document.createElement("img");
overlay.className = "proposal-overlay";
overlay.alt = "";
overlay.hidden = true;
find(".brush-canvas").before(overlay);
atelier.translate(proposal.parentElement);

let proposing = false, anew = false;
async function showProposal() {
  proposal.hidden = overlay.hidden = !current.proposal;
  if (!current.proposal) return;
  const range = proposal.querySelector("input");
  if (document.activeElement !== range) range.value = Math.round(100 * current.threshold);
  atelier.fillTrack(range);
  proposal.querySelector("output").textContent = `${Math.round(100 * current.threshold)}%`;
  if (proposing) { anew = true; return; }
  proposing = true;
  do {
    anew = false;
    const answer = await server.propose({ page, n: asked, settings: current, desk });
    if (answer?.picture) {
      overlay.src = answer.picture;
      showKinds(answer.kinds);
    } else if (answer?.error) tell(alertLine, answer.error);
  } while (anew && current.proposal);
  proposing = false;
}
function showKinds(kinds) {
  const named = (name) => {
    const words = t(`restore.kind_${name}`);
    return words.startsWith("restore.") ? name : words;
  };
  const focused = document.activeElement?.dataset?.kind;
  const chips = proposal.querySelector(".proposal-kinds");
  chips.replaceChildren(...kinds.map(({ name, regions, confidence, colour, on }) => {
    const chip = document.createElement("button"), count = document.createElement("span");
    chip.type = "button";
    chip.dataset.kind = name;
    chip.textContent = named(name);
    chip.style.setProperty("--swatch", colour);
    chip.setAttribute("aria-pressed", on);
    count.textContent = regions
      ? t("restore.kind_found", { count: regions, percent: Math.round(100 * confidence) }) : "0";
    chip.append(count);
    return chip;
  }));
  if (focused) proposal.querySelector(`[data-kind="${focused}"]`)?.focus();
  const any = kinds.some(({ regions, on }) => on && regions);
  proposal.querySelector("p").textContent = t(any ? "restore.proposal_help" : "restore.nothing");
  button("adopt").disabled = !any;
}
proposal.querySelector("input").addEventListener("input", (event) => {
  set({ threshold: Number(event.target.value) / 100 });
});
proposal.addEventListener("click", (event) => {
  const kind = event.target.closest("[data-kind]")?.dataset.kind;
  if (!kind) return;
  set({
    ignored: current.ignored.includes(kind)
      ? current.ignored.filter((one) => one !== kind) : [...current.ignored, kind],
  });
});

// ---- the list of fills, the uppermost first

const facts = new Map(); // of layers, by id
async function showFills() {
  const list = document.querySelector(".fills");
  if (!list) return;
  const layers = current.layers.filter(Boolean);
  if (layers.some((id) => !facts.has(id))) {
    const answer = await server.layers({ page, n: asked, settings: current, desk });
    for (const layer of answer?.layers ?? []) facts.set(layer.id, layer);
  }
  if (JSON.stringify([current.layers, current.hidden, current.work]) !== listed) return;
  list.replaceChildren(...layers.map((id, i) => {
    const row = document.createElement("li"), what = document.createElement("span");
    const more = document.createElement("small");
    const { method, model, area_px, licence } = facts.get(id) ?? {};
    const hidden = current.hidden.includes(id);
    row.dataset.layer = id;
    row.classList.toggle("is-hidden", hidden);
    what.className = "fill-what";
    what.textContent = t("restore.fill_row", { i: i + 1, method: method ? t(`restore.method_${method}`) : "" });
    more.textContent = [
      area_px ? t("restore.fill_area", { area: Number(area_px).toLocaleString() }) : "", model, licence,
    ].filter(Boolean).join(" · ");
    what.append(more);
    row.append(what, ...["hide", "redo", "remove"].map((name) => {
      const one = document.createElement("button");
      one.type = "button";
      one.dataset.fill = name;
      one.textContent = t(name === "hide" && hidden ? "restore.show" : `restore.${name}`);
      one.setAttribute("aria-label", `${one.textContent}: ${i + 1}`);
      return one;
    }));
    return row;
  }).reverse());
  hooks.lights();
}
document.addEventListener("click", (event) => {
  const one = event.target.closest?.(".fills [data-fill]");
  if (!one) return;
  const id = one.closest("li").dataset.layer;
  if (one.dataset.fill === "redo") return start({ job: "redo", layer: id });
  if (one.dataset.fill === "remove") {
    return set({
      layers: current.layers.filter((layer) => layer !== id), hidden: current.hidden.filter((layer) => layer !== id),
    });
  }
  set({
    hidden: current.hidden.includes(id) ? current.hidden.filter((layer) => layer !== id) : [...current.hidden, id],
  });
});

// ---- work that has ended

hooks.ended = async (report) => {
  const { job, work, layer } = report.values ?? {};
  const here = asking;
  asking = "";
  if (report.state === "stopped" && internal.includes(job)) return true;
  if (report.state !== "done") return false;
  if (job === "enlarge") standing = ""; // what stands there is the larger picture
  if (!internal.includes(job)) {
    if (here) { // who has just asked for a file gets it; who comes back later is offered it
      finished = report.file;
      fetchFile();
    }
    return false;
  }
  await keepFile(report.file);
  while (busy) await new Promise((later) => setTimeout(later, 20));
  settle(); // what was painted a moment ago is a step of its own
  const made = report.file.id;
  if (current.work !== work) return true; // it belongs to a picture that has left the stage
  if (job === "suggest") set({ proposal: made });
  else if (job === "redo") {
    const swap = (ids) => ids.map((id) => (id === layer ? made : id)).filter((id, i, all) => all.indexOf(id) === i);
    set({ layers: swap(current.layers), hidden: swap(current.hidden) });
  } else {
    set({ layers: [...current.layers.filter((id) => id && id !== made), made], mask: "", proposal: "" });
    if (brush.on) paint(false);
  }
  return true;
};

// A picture that was cleaned and enlarged here may become the one on the stage.
hooks.offers = ({ state, values, file }, line) => {
  if (state === "done" && values?.job === "enlarge" && batch.length < 2) {
    tell(line, line.textContent, "restore.go_on", () => goOn(file));
  }
};
async function goOn(file) {
  const got = await atelier.files.fetched(server.take, file);
  if (got.error) return tell(alertLine, got.error);
  const info = await send(got.file, "work");
  if (!info) return;
  batch = [];
  atelier.keep(view + ".batch", batch);
  dismiss(false);
  bring(info.id);
}

// ---- networks that the person brings as files

async function showNetworks() {
  for (const [does, id] of [["fills", current.network], ["enlarges", current.enlarger]]) {
    const line = document.querySelector(`.network-brought[data-does=${does}]`);
    const info = id ? (await lookUp([id]))[0] : null;
    if (!line) continue;
    line.hidden = !info;
    if (!info) continue;
    tell(line, t("restore.network_line", info), "restore.remove", () => {
      set(does === "fills" ? { network: "" } : { enlarger: "" });
    });
  }
  showInstalled();
}
// Networks that are kept on this machine as files.
// Which of them does what is known of most; the others stand in both lists.
let kept = [];
async function listNetworks() {
  kept = (await server.networks({}))?.networks ?? [];
  showInstalled();
}
function showInstalled() {
  for (const [does, id] of [["fills", current.network], ["enlarges", current.enlarger]]) {
    const place = document.querySelector(`.networks[data-does=${does}]`), menu = place?.querySelector("select");
    if (!menu) continue;
    const fit = kept.filter((one) => !one.does || one.does === does), now = infos.get(id)?.name ?? "";
    place.hidden = !fit.length;
    const key = JSON.stringify(fit);
    if (menu.dataset.key !== key) {
      menu.dataset.key = key;
      menu.replaceChildren(
        new Option(t("restore.no_installed_network"), ""), ...fit.map(({ name }) => new Option(name, name)),
      );
    }
    menu.value = fit.some(({ name }) => name === now) ? now : "";
  }
}
async function choose(name) {
  say(alertLine, "");
  const info = await server.choose({ desk, name });
  if (info?.error || !info?.id) return tell(alertLine, info?.error ?? t("live.lost"));
  infos.set(info.id, info);
  await hooks.opens(info);
}
live.choose = choose;
document.addEventListener("change", (event) => {
  const place = event.target.closest?.(".networks");
  if (!place) return;
  if (event.target.value) choose(event.target.value);
  else set(place.dataset.does === "fills" ? { network: "" } : { enlarger: "" });
});
listNetworks();
// What is folded away is not on the page until it is opened.
document.addEventListener("click", (event) => {
  if (event.target.closest?.(".desk")?.contains(box)) setTimeout(() => { showNetworks(); hooks.lights(); }, 150);
  if (event.target.closest?.("#tabs [role=tab]")) listNetworks();
});
const weights = document.createElement("input");
weights.type = "file";
weights.hidden = true;
weights.accept = props.weights.join();
weights.setAttribute("aria-label", t("restore.network"));
box.append(weights);
weights.addEventListener("change", async () => {
  say(alertLine, "");
  if (weights.files.length) await takeOne(weights.files[0]);
  weights.value = "";
});

// ---- sessions

hooks.opens = async (info) => {
  if (info.kind === "network") {
    set(info.does === "fills" ? { network: info.id, method: "network" } : { enlarger: info.id });
    return true;
  }
  if (info.kind !== "session") return false;
  for (const file of info.files) await keepFile(file);
  const states = info.states.map((state) => ({ ...copy(current), ...NOTHING, ...state }));
  batch = [];
  atelier.keep(view + ".batch", batch);
  past = states.slice(0, info.present);
  future = states.slice(info.present + 1).reverse();
  present = copy(states[info.present]);
  set(present);
  tell(statusLine, t("restore.opened", { name: info.name }));
  return true;
};

// ---- buttons and keys

let asking = "";
async function ask(job, more = {}) {
  asking = job;
  await brush.settled(); // what was painted a moment ago belongs to it
  await start({ job, ...more });
}
let held = false;
function peek(on) {
  held = on;
  frame.classList.toggle("peeking", on && onStage !== null);
}
document.addEventListener("keyup", (event) => { if (held && event.key.toLowerCase() === "v") peek(false); });
window.addEventListener("blur", () => peek(false));

Object.assign(actions, {
  suggest: () => { if (!button("suggest").disabled) ask("suggest"); },
  fill: async () => {
    await brush.settled();
    if (!button("fill").disabled) ask("fill");
  },
  save: () => { if (!button("save").disabled) ask("save"); },
  layers: () => ask("layers"), report: () => ask("report"), enlarge: () => ask("enlarge"),
  session: () => ask("session", { states: { past: past.slice(-50), future: future.slice(-50).reverse() } }),
  adopt: async () => {
    button("adopt").disabled = true;
    const answer = await server.adopt({ page, n: asked, settings: current, desk });
    button("adopt").disabled = false;
    if (answer?.error) return tell(alertLine, answer.error);
    if (!answer?.id) return tell(statusLine, t("restore.nothing"));
    await keepFile(answer);
    set({ mask: answer.id, proposal: "" });
  },
  network_fills: () => weights.click(), network_enlarges: () => weights.click(),
  forget: () => set({ proposal: "" }),
  peek: () => peek(true),
  nearer: () => brush.zoomBy(1.5), farther: () => brush.zoomBy(1 / 1.5), whole: () => brush.zoomBy(0),
});
atelier.hotkeys(element, {
  o: "open", d: "suggest", m: "brush", f: "fill", s: "save", z: "undo", y: "redo", v: "peek", ArrowLeft: "previous",
  ArrowRight: "next", "+": "nearer", "=": "nearer", "-": "farther", 0: "whole",
}, (name) => actions[name]());
hooks.changed();
