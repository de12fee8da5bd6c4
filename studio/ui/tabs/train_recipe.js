
// ---- 2: what is learned how; 3: how long it takes, and the start

const MAIN = ["resolution", "kimg", "init", "mirror", "classes"]; // what everybody decides; the rest is folded away
// change no step's duration
const TIMELESS = ["kimg", "seed", "tick_kimg", "sample_ticks", "keep_ticks", "init", "holdout", "fit"];
const recipes = new Map(props.recipes.map((recipe) => [recipe.name, recipe]));
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const OWN = ["init", "fit"]; // of these pictures: a preset leaves them alone
let presets = [];
let origins = { models: [], runs: [] };
let wish = { preset: "", recipe: props.recipes[0].name, settings: {}, watching: {} }; // what is no default
let lacks = t("train.lacks_pictures"); // what keeps the training from beginning, in a sentence
let ownName = false; // the person has named the run

const recipe = () => recipes.get(wish.recipe);
const fieldOf = (name) => recipe().fields.find((field) => field.name === name);
const valueOf = (name) => wish.settings[name] ?? fieldOf(name)?.default ?? null;
const sideOf = () => valueOf("resolution") ?? valueOf("size") ?? 64;
const wished = () => ({ recipe: wish.recipe, settings: wish.settings, watching: wish.watching });
const named = (preset) => told(`train.preset_${preset.name.replaceAll("-", "_")}`, preset.name);
const saysOf = (preset) => told(`train.says_${preset.name.replaceAll("-", "_")}`, preset.sentence);

// ---- presets

async function loadPresets() {
  const answer = await server.presets({});
  if (!answer?.presets) return complain(answer?.error);
  presets = answer.presets.filter(({ recipe }) => recipes.has(recipe));
  if (!wish.preset && presets.length) choosePreset(presets[0].name);
  showPresets();
}
function showPresets() {
  const fits = ({ name, bundled }) => props.gpu || !bundled || !name.startsWith("gpu-") || name === wish.preset;
  find(".presets").replaceChildren(...presets.filter(fits).map((preset) => {
    const row = made("label", "preset"), radio = made("input"), words = made("span", "preset-words");
    const here = preset.name === wish.preset, held = [preset.recipe, preset.settings, preset.watching];
    const moved = here && !same(held, [wish.recipe, wish.settings, wish.watching]);
    radio.type = "radio";
    radio.name = "train-preset";
    radio.checked = here;
    radio.addEventListener("change", () => choosePreset(preset.name));
    words.append(made("b", "", named(preset)), ...(moved ? [made("i", "preset-moved", t("train.moved"))] : []));
    words.append(made("small", "", saysOf(preset)));
    row.append(radio, words);
    if (!preset.bundled) {
      const drop = made("button", "preset-drop", "×");
      drop.setAttribute("aria-label", t("train.preset_delete", { name: preset.name }));
      drop.addEventListener("click", async (event) => {
        event.preventDefault();
        const answer = await server.delete_preset({ preset: preset.name });
        if (answer?.error) return complain(answer.error);
        if (here) wish.preset = "";
        loadPresets();
      });
      row.append(drop);
    }
    return row;
  }));
}
function choosePreset(name) {
  const preset = presets.find((one) => one.name === name);
  if (!preset) return;
  const kept = OWN.filter((one) => one in wish.settings).map((one) => [one, wish.settings[one]]);
  wish = { preset: name, recipe: preset.recipe, settings: { ...preset.settings }, watching: { ...preset.watching } };
  for (const [one, value] of kept) if (fieldOf(one)) wish.settings[one] ??= value;
  showForm();
  changed();
}
async function loadPreset(file) {
  const answer = await server.read_preset({ file: await file.text() });
  if (!answer?.recipe) return complain(answer?.error);
  wish = { preset: "", recipe: answer.recipe, settings: { ...answer.settings }, watching: { ...answer.watching } };
  showForm();
  changed();
}
find(".preset-keep").addEventListener("submit", async (event) => {
  event.preventDefault();
  complain("");
  const answer = await server.save_preset({ ...wished(), preset: event.target.elements.preset.value.trim() });
  if (!answer?.file) return complain(answer?.error);
  atelier.files.save(new Blob([answer.file], { type: "application/json" }), `${answer.name}.json`);
  wish.preset = answer.name;
  event.target.reset();
  loadPresets();
});
find(".preset-file").addEventListener("change", async (event) => {
  if (event.target.files.length) await loadPreset(event.target.files[0]);
  event.target.value = "";
});
actions.load = () => find(".preset-file").click();

// ---- the form

function setField(name, value, part = "settings") {
  const field = part === "settings" ? fieldOf(name) : props.watching.find((one) => one.name === name);
  if (!field) return;
  const next = { ...wish[part] };
  if (same(value, field.default)) delete next[name]; else next[name] = value;
  wish = { ...wish, [part]: next };
  showForm();
  changed();
}

function showForm() {
  const open = document.activeElement?.dataset?.field; // a form that is made anew gives the focus back
  const fields = recipe().fields, part = (some, style) => some.map((field) => control(field, "settings", style));
  const main = MAIN.map(fieldOf).filter(Boolean);
  find(".fields-main").replaceChildren(...main.map((field) => control(field, "settings", "main")));
  const rest = fields.filter(({ name }) => !MAIN.includes(name));
  const advanced = made("details", "more");
  advanced.append(made("summary", "", t("train.advanced")), ...part(rest.filter((field) => field.advanced), "plain"));
  advanced.open = find(".fields-more > details")?.open ?? false;
  const plain = part(rest.filter((field) => !field.advanced), "plain");
  find(".fields-more").replaceChildren(recipeMenu(), ...plain, advanced);
  find(".fields-watching").replaceChildren(...props.watching.map((field) => control(field, "watching", "plain")));
  if (open) find(`[data-field="${open}"]`)?.focus({ preventScroll: true });
}

function recipeMenu() {
  const row = made("label", "row"), menu = made("select");
  const says = made("small", "", told(`train.method_${wish.recipe}`, recipe().description));
  const offered = props.recipes.filter(({ needs }) => props.paths || needs.length < 2);
  menu.dataset.field = "recipe";
  menu.append(...offered.map(({ name }) => new Option(name, name, false, name === wish.recipe)));
  menu.addEventListener("change", () => {
    const fields = new Set(recipes.get(menu.value).fields.map(({ name }) => name));
    const stays = [...MAIN, ...OWN].filter((name) => fields.has(name) && name in wish.settings);
    const kept = stays.map((name) => [name, wish.settings[name]]);
    wish = { ...wish, preset: "", recipe: menu.value, settings: Object.fromEntries(kept) };
    showForm();
    changed();
  });
  row.append(made("span", "", t("train.recipe_kind")), menu, says);
  return row;
}

const UNITS = ["px", "kimg"]; // that are read in any language
function control(field, part, style) {
  const { name, kind, many, optional, choices, unit, help, low, high } = field;
  const value = wish[part][name] ?? field.default, main = style === "main";
  const row = made("label", kind === "bool" ? "tick" : "row");
  const label = made("span", "", told(`train.setting_${name}`, name));
  const flag = UNITS.includes(unit) ? `${name} · ${unit}` : name; // what the command line calls it
  if (!main) label.append(made("small", "", flag));
  let input = made("input");
  if (name === "init") input = originMenu(value);
  else if (name === "resolution") input = sizes(field, value);
  else if (kind === "bool") { input.type = "checkbox"; input.checked = Boolean(value); }
  else if (choices) {
    input = made("select");
    input.append(...choices.map((one) => new Option(one, one, false, one === value)));
  } else {
    input.type = many || kind === "str" ? "text" : "number";
    const limits = { step: "any", ...(low !== null && { min: low }), ...(high !== null && { max: high }) };
    if (input.type === "number") Object.assign(input, limits);
    input.value = value === null ? "" : Array.isArray(value) ? value.join(", ") : value;
    input.placeholder = optional ? t("train.by_itself") : "";
  }
  input.dataset.field = part === "settings" ? name : `${part}-${name}`;
  input.addEventListener("change", () => setField(name, read(field, input), part));
  const words = told(`train.about_${name}`, help);
  const more = words ? [made("small", "", words)] : [];
  if (name === "classes" && main) row.hidden = !(report && Object.keys(report.classes).length);
  row.append(...(kind === "bool" ? [input, label] : [label, input]), ...more);
  return row;
}
function read({ kind, many, optional, choices }, input) {
  if (kind === "bool") return input.checked;
  const words = (input.value ?? input.dataset.value ?? "").toString().trim();
  const one = (word) => (kind === "str" ? word : Number(word));
  if (many) return words ? words.split(",").map((word) => one(word.trim())) : [];
  if (choices) return choices.find((choice) => String(choice) === words) ?? words;
  if (words === "") return optional ? null : kind === "str" ? "" : null;
  return one(words);
}
function sizes({ choices }, value) {
  const menu = made("select");
  menu.append(...choices.map((side) => new Option(`${side} × ${side} px`, side, false, side === value)));
  return menu;
}
function originMenu(value) {
  const menu = made("select"), group = (label, names, prefix) => {
    const list = made("optgroup");
    list.label = t(label);
    list.append(...names.map((name) => new Option(name, prefix + name, false, prefix + name === value)));
    return list;
  };
  menu.append(new Option(t("train.from_nothing"), "", false, !value));
  if (origins.models.length) menu.append(group("train.from_model", origins.models, ""));
  if (origins.runs.length) menu.append(group("train.from_run", origins.runs, "run/"));
  if (value && menu.value !== value) menu.append(new Option(value, value, true, true));
  return menu;
}

// ---- how long, and the start

const paceKey = () => {
  const timed = Object.entries(wish.settings).filter(([name]) => !TIMELESS.includes(name)).sort();
  return JSON.stringify([wish.recipe, timed]);
};
const paces = () => atelier.recall("train.paces") ?? {};
finished.measure = ({ key, seconds_per_kimg, memory_bytes }) => {
  const kept = Object.entries(paces()).filter(([one]) => one !== key).slice(-19);
  atelier.keep("train.paces", Object.fromEntries([...kept, [key, { seconds_per_kimg, memory_bytes }]]));
  showEstimate();
};
actions.measure = () => begin({ job: "measure", source, ...wished(), key: paceKey() });

function showEstimate() {
  const pace = paces()[paceKey()], kimg = Number(valueOf("kimg")) || 0;
  const values = { side: sideOf(), kimg: rounded(kimg) };
  const memory = pace?.memory_bytes ? t("train.memory", { size: gigabytes(pace.memory_bytes) }) : "";
  const takes = (seconds) => t("train.takes", { ...values, time: duration(seconds) });
  const says = pace ? takes(kimg * pace.seconds_per_kimg) : t("train.unmeasured", values);
  put(find(".estimate-says"), [says, memory].filter(Boolean).join(" "));
  put(find("[data-do=measure]"), t(pace ? "train.measure_again" : "train.measure"));
}

let checking = null;
function changed() {
  if (!ownName) {
    const folder = source?.path?.split(/[\\/]/).filter(Boolean).at(-1);
    const base = source ? (report?.name ?? source.set ?? folder ?? "") : "";
    const preset = presets.find(({ name }) => name === wish.preset);
    const whole = [base.replace(/\.zip$/i, ""), preset?.name ?? wish.recipe].join(" ");
    find(".run-name").value = base ? freeName(whole) : "";
  }
  atelier.keep("train.wish", wish);
  showPresets();
  showEstimate();
  if (!source) { lacks = t("train.lacks_pictures"); light(); } // at once: what is wrong besides takes a moment
  clearTimeout(checking);
  checking = setTimeout(check, 250);
}
function freeName(base) {
  const allowed = base.replace(/[^\p{L}\p{N}_ .-]/gu, "_").replace(/^[^\p{L}\p{N}]+/u, "");
  const plain = allowed.slice(0, 70).trim().replace(/\.+$/, "");
  for (let i = 1; ; i++) {
    const name = i === 1 ? plain : `${plain} ${i}`;
    if (!runs.some((run) => run.name === name)) return name;
  }
}
let previewed = "";
async function check() {
  const asking = () => JSON.stringify([source, wished(), find(".run-name").value]);
  const asked = asking(), name = find(".run-name").value.trim();
  const answer = await server.check({ source, ...wished(), name });
  if (asked !== asking()) return;
  lacks = "";
  if (!name) lacks = t("train.lacks_name");
  if (report && report.pictures < 2) lacks = t("train.lacks_readable");
  if (!source) lacks = t("train.lacks_pictures");
  lacks = answer?.error ?? lacks;
  put(find(".begin .command"), answer?.command ?? "");
  light();
  if (answer?.error || !report) return;
  if (report.resolution !== sideOf()) return examine();
  if (previewed !== asked) { previewed = asked; preview(); }
}
function light() {
  put(find(".begin-lacks"), lacks);
  find("[data-do=start]").disabled = Boolean(lacks) || starting;
  find("[data-do=measure]").disabled = Boolean(working);
  find("[data-do=measure]").hidden = working === "measure";
  find("[data-do=copy]").disabled = !find(".begin .command").textContent;
  for (const name of ["explore", "export", "film"]) find(`[data-do=${name}]`).disabled = Boolean(working);
}
let starting = false;
Object.assign(actions, {
  start: async () => {
    starting = true;
    light();
    complain("");
    const name = find(".run-name").value.trim(), restart = find(".run-restart").checked;
    const answer = await server.start({ source, ...wished(), name, restart });
    starting = false;
    light();
    if (!answer?.run) return complain(answer?.error);
    ownName = false;
    select(answer.run);
    enter("runs");
  },
  copy: async () => {
    try {
      await navigator.clipboard.writeText(find(".begin .command").textContent);
      put(find("[data-do=copy]"), t("train.copied"));
    } catch { getSelection().selectAllChildren(find(".begin .command")); }
    setTimeout(() => put(find("[data-do=copy]"), t("train.copy")), 2000);
  },
});
find(".run-name").addEventListener("input", () => {
  ownName = find(".run-name").value.trim() !== "";
  clearTimeout(checking);
  checking = setTimeout(check, 250);
});
