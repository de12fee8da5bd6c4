
// ---- what is installed: a list, all about one, two side by side

let models = [], chosen = atelier.recall("models.chosen") ?? "", about = null, showing = "about";
const keyOf = ({ kind, name }) => `${kind}:${name}`;
const byKey = (key) => models.find((one) => keyOf(one) === key);
const GROUPS = ["trained", "imported", "hub", "file", "bundled"];
const canDo = (one) => {
  if (one.damaged) return t("models.damaged");
  if (!one.can.length) return t(one.kind === "network" ? "models.can_unknown" : "models.can_nothing");
  return t(`models.can_${one.can[0] === "noise" && one.can.includes("move") ? "move" : one.can[0]}`);
};
const pixels = (one) => (one.resolution ? `${one.resolution} px` : "");
const nameOf = (one) => (one.title && one.title !== one.name ? `${one.title} (${one.name})` : one.name);

// The latest training first, and of each its latest moment.
const written = (one) => {
  const same = models.filter(({ run, name }) => (one.run ? run === one.run : name === one.name));
  return Math.max(...same.map(({ changed }) => changed));
};
const byTraining = (a, b) => (a.run === b.run ? b.kimg - a.kimg || b.changed - a.changed : written(b) - written(a));

let lists = 0, newest = null;
const listModels = () => (newest = listAs(++lists));
async function listAs(number) {
  const answer = await ask("models");
  if (!answer) return;
  if (number !== lists) return newest; // an older list may lack what was just renamed
  models = answer.models;
  put(find(".shelf-total"), props.own ? t("models.total", { size: megabytes(answer.bytes) }) : "");
  if (!byKey(chosen)) chosen = models.length ? keyOf(models.find(({ opens }) => opens) ?? models[0]) : "";
  showList();
  fillChoices();
  if (showing === "about") await showAbout();
  if (showing === "tidy") showTidy();
}
hears.installed = listModels;

const bytesOf = (found) => found.reduce((sum, { bytes }) => sum + bytes, 0);
function showList() {
  const words = find(".shelf-filter input").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const text = (one) => `${one.name} ${one.title} ${one.licence} ${one.task} ${canDo(one)}`.toLowerCase();
  const fit = models.filter((one) => words.every((word) => text(one).includes(word)));
  const rows = [];
  for (const group of GROUPS) {
    const inside = fit.filter(({ origin }) => origin === group).sort(group === "trained" ? byTraining : () => 0);
    if (!inside.length) continue;
    const head = made("div", "shelf-head"), snapshots = inside.filter(({ run }) => run);
    head.setAttribute("role", "presentation");
    const size = megabytes(bytesOf(inside));
    head.append(made("span", "", t(`models.origin_${group}`)), made("span", "shelf-size", size));
    if (snapshots.length > 1 && props.own) {
      const tidy = made("button", "shelf-tidy", t("models.tidy"));
      tidy.dataset.do = "tidy";
      head.append(tidy);
    }
    rows.push(head, ...inside.map(modelRow));
  }
  if (!rows.length) rows.push(made("p", "shelf-empty", t("models.none_found")));
  const list = find(".shelf-list");
  list.replaceChildren(...rows);
  const row = list.querySelector("[aria-selected=true]");
  // on a narrow screen
  if (row && list.scrollHeight > list.clientHeight) list.scrollTop = row.offsetTop - list.offsetTop - 60;
}
function modelRow(one) {
  const row = made("button", "run"), words = made("span", "run-words"), here = keyOf(one) === chosen;
  const img = made(one.thumb ? "img" : "span", one.thumb ? "" : "run-blank");
  row.dataset.model = keyOf(one);
  row.setAttribute("role", "option");
  row.setAttribute("aria-selected", here);
  row.tabIndex = here ? 0 : -1;
  if (one.thumb) { img.alt = ""; img.src = one.thumb; row.classList.add("has-thumb"); }
  words.append(
    made("b", "", one.run ? one.name : one.title),
    made("span", "run-state", canDo(one)),
    made("span", "run-kimg", joined(pixels(one), megabytes(one.bytes))),
  );
  if (one.damaged) row.dataset.state = "failed";
  row.append(img, words);
  row.addEventListener("click", () => choose(keyOf(one)));
  return row;
}
find(".shelf-filter input").addEventListener("input", showList);
find(".shelf-list").addEventListener("keydown", (event) => {
  const rows = all(".shelf-list .run"), i = rows.findIndex((row) => row.dataset.model === chosen);
  const next = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (next === undefined || !rows.length || !event.target.closest(".run")) return;
  event.preventDefault();
  event.stopPropagation();
  const row = rows[Math.min(rows.length - 1, Math.max(0, next))];
  choose(row.dataset.model);
  find(`.run[data-model="${CSS.escape(row.dataset.model)}"]`)?.focus();
});
function choose(key) {
  chosen = key;
  atelier.keep("models.chosen", chosen);
  quiet();
  for (const row of all(".shelf-list .run")) {
    row.setAttribute("aria-selected", row.dataset.model === chosen);
    row.tabIndex = row.dataset.model === chosen ? 0 : -1;
  }
  side("about");
  showAbout();
}
function side(name) {
  showing = name;
  find(".about-model").hidden = name !== "about" || !byKey(chosen);
  find(".tidy").hidden = name !== "tidy";
  find(".versus").hidden = name !== "versus";
  find(".shelf-none").hidden = models.length > 0;
}

// ---- all about one

async function showAbout() {
  const one = byKey(chosen);
  side(showing);
  about = null;
  if (!one) return;
  showModel(one);
  const answer = await server.about({ kind: one.kind, name: one.name });
  if (keyOf(one) !== chosen) return;
  if (answer?.name) showModel((about = answer));
  else showModel({ ...one, damaged: answer?.error ?? t("live.lost") });
}
const OPENS = { explore: "explore.title", style: "style.title", restore: "restore.title" };
function showModel(one) {
  const place = find(".about-model"), told = "card" in one;
  place.dataset.told = told;
  put(place.querySelector(".watched-title b"), one.title);
  put(place.querySelector(".chip"), t(`models.origin_one_${one.origin}`));
  put(place.querySelector(".about-name"), one.title === one.name ? "" : one.name);
  put(place.querySelector(".about-damaged"), one.damaged);
  const img = place.querySelector(".about-picture");
  img.hidden = !one.picture && !one.thumb;
  img.classList.toggle("is-small", !one.picture);
  if (one.picture || one.thumb) img.src = one.picture || one.thumb;
  img.alt = t("models.picture_of", { name: one.title });
  place.querySelector(".about-can").replaceChildren(...one.can.map((can) => made("li", "", t(`models.does_${can}`))));
  const useless = !one.can.length && !one.damaged && told;
  if (useless) place.querySelector(".about-can").append(made("li", "", t("models.does_nothing")));
  const open = find("[data-do=open]");
  open.hidden = !one.opens || Boolean(one.damaged);
  if (one.opens) put(open, t("models.open", { tab: t(OPENS[one.opens]) }));
  put(find(".about-no-tab"), !one.opens && one.can.length && told && !one.damaged ? t("models.no_tab") : "");
  find("[data-do=compare]").hidden = models.filter(({ damaged }) => !damaged).length < 2 || Boolean(one.damaged);
  find("[data-do=rename]").hidden = find("[data-do=delete]").hidden = !one.own;
  const fit = one.kind === "model" && !one.damaged && one.origin !== "bundled";
  find("[data-do=to_publish]").hidden = !props.own || !fit;
  // a refresh closes no question
  if (place.dataset.model !== keyOf(one)) find(".about-rename").hidden = find(".about-sure").hidden = true;
  place.dataset.model = keyOf(one);
  showFacts(place.querySelector(":scope > .facts"), factsOf(one));
  const measured = Object.entries(one.metrics ?? {});
  find(".about-more").hidden = !measured.length;
  showFacts(find(".about-more .facts"), measured);
  find(".about-card").hidden = !one.card?.length;
  if (one.card) showCard(find(".about-card .card-text"), one.card);
}
function factsOf(one) {
  const source = {
    bundled: t("models.origin_one_bundled"),
    hub: one.repo ? joined(one.repo, one.file, one.revision?.slice(0, 12)) : "",
    trained: t("models.from_training", { recipe: one.recipe ?? "" }),
    imported: one.imported_from ?? "",
    file: t("models.origin_one_file"),
  };
  const kimg = () => Number(one.kimg.toPrecision(4)).toLocaleString(document.documentElement.lang);
  return [
    [t("models.fact_licence"), licenceOf(one.licence)],
    [t("models.fact_size"), joined(megabytes(one.bytes), pixels(one), one.scale > 1 && `×${one.scale}`)],
    [t("models.fact_from"), source[one.origin]],
    [t("models.fact_family"), one.family],
    [t("models.fact_data"), one.data],
    [t("models.fact_data_licence"), one.data && one.data_licence],
    [t("models.fact_kimg"), one.kimg ? t("models.kimg", { n: kimg() }) : ""],
    [t("models.fact_classes"), one.classes ? String(one.classes) : ""],
    [t("models.fact_changed"), day(one.changed)],
    [t("models.fact_sha"), one.sha256],
  ];
}

let doomed = null; // what the question names
Object.assign(actions, {
  open: () => openIn(about ?? byKey(chosen)),
  rename: () => {
    const form = find(".about-rename"), input = form.querySelector("input");
    form.hidden = false;
    find(".about-sure").hidden = true;
    input.value = byKey(chosen).name;
    input.focus();
    input.select();
  },
  rename_not: () => { find(".about-rename").hidden = true; find("[data-do=rename]").focus(); },
  delete: () => {
    const one = doomed = byKey(chosen);
    put(find(".about-sure span"), t("models.sure", { name: one.name, size: megabytes(one.bytes) }));
    find(".about-sure").hidden = false;
    find(".about-rename").hidden = true;
    find("[data-do=delete_not]").focus();
  },
  delete_not: () => { find(".about-sure").hidden = true; find("[data-do=delete]").focus(); },
  delete_sure: () => removeAll([doomed]),
  to_publish: () => { publishing(byKey(chosen).name); enter("publish", true); },
});
find(".about-rename").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { kind, name } = byKey(chosen), to = event.target.querySelector("input").value;
  quiet();
  const answer = await ask("rename", { kind, name, to });
  if (!answer) return;
  chosen = keyOf(answer);
  atelier.keep("models.chosen", chosen);
  find(".about-rename").hidden = true;
  await listModels();
  tell(t("models.renamed", { name: answer.name }));
});
async function removeAll(gone) {
  quiet();
  const answer = await ask("remove", { models: gone.map(({ kind, name }) => ({ kind, name })) });
  if (!answer) return;
  find(".about-sure").hidden = find(".tidy-sure").hidden = true;
  await listModels();
  tell(t("models.deleted", { count: gone.length, size: megabytes(answer.freed) }));
  find(".shelf-list [aria-selected=true]")?.focus();
}

/** Take a model to the tab that can use it. Its other settings stay as they are. */
async function openIn({ kind, name, opens }) {
  const words = t(OPENS[opens]);
  [...document.querySelectorAll("#tabs [role=tab]")].find((tab) => tab.textContent.trim() === words)?.click();
  const view = () => atelier.live[opens];
  // Its controls report what they hold as they appear: the model is set once they have.
  for (let i = 0; i < 100 && !(opens === "explore" ? view()?.good : view()); i++) await pause(200);
  await pause(300);
  if (kind === "network") view()?.choose(name);
  else if (opens === "restore") {
    const fills = byKey(`model:${name}`)?.task === "inpaint";
    view()?.set(fills ? { model: name, method: "network", network: "" } : {});
  } else view()?.set({ model: name });
}

// ---- snapshots of trainings pile up: which of them may go

const snapshots = () => models.filter(({ run }) => run).sort(byTraining);
let marked = new Set();
function showTidy() {
  const found = snapshots();
  marked = new Set([...marked].filter(byKey));
  put(find(".tidy-title"), t("models.tidy_title", { count: found.length, size: megabytes(bytesOf(found)) }));
  find(".tidy-list").replaceChildren(...found.map((one) => {
    const row = made("li"), label = made("label", "tick"), tick = made("input"), words = made("span");
    tick.type = "checkbox";
    tick.checked = marked.has(keyOf(one));
    tick.addEventListener("change", () => {
      if (tick.checked) marked.add(keyOf(one));
      else marked.delete(keyOf(one));
      lightTidy();
    });
    words.append(made("b", "", one.name), made("small", "", `${day(one.changed)} · ${megabytes(one.bytes)}`));
    label.append(tick, words);
    row.append(label);
    if (one.thumb) {
      const img = made("img");
      img.alt = "";
      img.src = one.thumb;
      row.append(img);
    }
    return row;
  }));
  if (!found.length) { side("about"); showAbout(); }
  lightTidy();
}
const markedModels = () => snapshots().filter((one) => marked.has(keyOf(one)));
function lightTidy() {
  const size = megabytes(bytesOf(markedModels()));
  put(find("[data-do=tidy_delete]"), t("models.tidy_delete", { count: marked.size, size }));
  find("[data-do=tidy_delete]").disabled = !marked.size;
  const asked = [...marked].sort().join();
  if (find(".tidy-sure").dataset.asked !== asked) find(".tidy-sure").hidden = true; // it was about others
}
Object.assign(actions, {
  tidy: () => { quiet(); marked = new Set(); side("tidy"); showTidy(); find(".tidy input")?.focus(); },
  tidy_older: () => {
    const newest = new Set();
    marked = new Set(snapshots().filter(({ run }) => newest.size === newest.add(run).size).map(keyOf));
    showTidy();
  },
  tidy_none: () => { marked = new Set(); showTidy(); },
  tidy_delete: () => {
    put(find(".tidy-sure span"), t("models.sure_many", { count: marked.size }));
    find(".tidy-sure").dataset.asked = [...marked].sort().join();
    find(".tidy-sure").hidden = false;
    find("[data-do=tidy_not]").focus();
  },
  tidy_not: () => { find(".tidy-sure").hidden = true; find("[data-do=tidy_delete]").focus(); },
  tidy_sure: () => removeAll(markedModels()),
  tidy_close: () => { side("about"); showAbout(); },
});

// ---- two side by side

const sides = ["", ""];
let firstSeed = 0, psi = 0.7, drawn = 0;
function fillChoices() {
  for (const [i, menu] of all(".versus select").entries()) {
    const whole = models.filter(({ damaged }) => !damaged);
    menu.replaceChildren(...whole.map((one) => new Option(nameOf(one), keyOf(one))));
    if (byKey(sides[i])) menu.value = sides[i];
  }
}
actions.compare = () => {
  const one = byKey(chosen), alike = models.filter((other) => keyOf(other) !== chosen && !other.damaged);
  sides[0] = chosen;
  if (!byKey(sides[1]) || sides[1] === chosen) {
    const sister = alike.find((other) => other.run && other.run === one.run);
    sides[1] = keyOf(sister ?? alike.find(({ task }) => task === one.task) ?? alike[0]);
  }
  fillChoices();
  quiet();
  side("versus");
  find(".versus select").focus();
  showVersus();
};
actions.versus_close = () => { side("about"); showAbout(); };
actions.other_seeds = () => { firstSeed = atelier.randomSeed() % 4294967000; drawVersus(); };
find(".versus-choose").addEventListener("change", (event) => {
  sides[Number(event.target.dataset.side)] = event.target.value;
  showVersus();
});
const psiRange = find(".versus-controls input");
psiRange.addEventListener("input", () => { psi = Number(psiRange.value); lightPsi(); });
psiRange.addEventListener("change", () => drawVersus());
function lightPsi() { put(find(".versus-controls output"), psi.toFixed(1)); atelier.fillTrack(psiRange); }

async function showVersus() {
  const pair = sides.map(byKey), asked = sides.join();
  if (pair.some((one) => !one)) return;
  lightPsi();
  for (const [i, head] of all(".versus-facts th[scope=col]").entries()) put(head, pair[i].title);
  const draws = pair.every(({ opens }) => opens === "explore");
  find(".versus-pictures").hidden = !draws;
  put(find(".versus-says"), draws ? "" : t("models.versus_facts"));
  if (draws) drawVersus();
  const told = await Promise.all(pair.map(({ kind, name }) => server.about({ kind, name })));
  if (asked !== sides.join()) return;
  if (told.some((one) => !one?.name)) return complain(told.find((one) => !one?.name)?.error);
  const abilities = (one) => [t("models.fact_can"), one.can.map((can) => t(`models.does_${can}`)).join(" ")];
  const columns = told.map((one) => [abilities(one), ...factsOf(one), ...Object.entries(one.metrics ?? {})]);
  const names = [...new Set(columns.flat().map(([name]) => name))];
  find(".versus-facts tbody").replaceChildren(...names.map((name) => {
    const row = made("tr"), head = made("th", "", name);
    const values = columns.map((column) => column.find(([one]) => one === name)?.[1] || "–");
    head.scope = "row";
    row.classList.toggle("differs", values[0] !== values[1]);
    row.append(head, ...values.map((value) => made("td", "", value)));
    return row;
  }));
}
async function drawVersus() {
  const number = ++drawn, pair = sides.map(byKey);
  const rows = pair.map((one) => {
    const row = made("div", "versus-row"), cells = made("div", "versus-cells");
    row.append(made("p", "", one.title), cells);
    cells.append(...Array.from({ length: props.seeds }, () => made("span", "versus-cell")));
    return { row, cells };
  });
  find(".versus-rows").replaceChildren(...rows.map(({ row }) => row));
  for (const [i, one] of pair.entries()) {
    const answer = await server.draw({ model: one.name, first: firstSeed, psi });
    if (number !== drawn) return;
    if (!answer?.cells) {
      rows[i].cells.replaceWith(made("p", "live-alert", answer?.error ?? t("live.lost")));
      continue;
    }
    rows[i].cells.replaceChildren(...answer.cells.map(({ picture, seed }) => {
      const cell = made("figure", "versus-cell"), img = made("img");
      img.src = picture;
      img.alt = t("models.seed", { seed });
      cell.append(img, made("figcaption", "", String(seed)));
      return cell;
    }));
  }
}
