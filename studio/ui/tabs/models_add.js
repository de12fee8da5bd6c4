
// ---- more models: from the Hub, from the catalogue, from a file. Nothing is fetched before it was looked at.

let entries = [], looked = null, brought = null;
const sizeOf = (bytes) => (bytes ? megabytes(bytes) : t("models.size_unknown"));
hears.add = async () => {
  const answer = await ask("catalogue");
  if (!answer) return;
  put(find(".add-login"), t(answer.signed_in ? "models.signed_in" : "models.signed_out"));
  const before = JSON.stringify(entries);
  entries = answer.entries;
  if (before !== JSON.stringify(entries)) showCatalogue();
};
function showCatalogue() {
  find(".catalogue").replaceChildren(...entries.map((entry) => {
    const one = made("button", "entry"), words = made("span", "entry-words");
    one.dataset.name = entry.name;
    const task = t(`models.task_${TASKS.includes(entry.task) ? entry.task : "other"}`);
    words.append(
      made("b", "", entry.title || entry.name),
      made("span", "entry-line", joined(task, entry.resolution && `${entry.resolution} px`, sizeOf(entry.bytes))),
      made("span", "entry-line", t("models.licence_is", { licence: licenceOf(entry.licence) })),
    );
    if (entry.here) words.append(made("span", "chip", t("models.here")));
    one.append(made("span", "entry-picture"), words);
    one.addEventListener("click", () => look(entry.name));
    return one;
  }));
  showPreviews(atelier.recall("models.previews") === true);
}
const TASKS = ["explore", "style", "inpaint", "upscale", "translate"];
// What lies in the cache is shown at once; the Hub is asked only by those who want that.
let previewing = 0;
async function showPreviews(asking) {
  const number = ++previewing;
  find("[data-do=previews]").setAttribute("aria-pressed", asking);
  for (const { name, preview } of entries) {
    if (!preview) continue;
    const answer = await server.preview({ name, ask: asking });
    if (number !== previewing || !element.isConnected) return;
    const place = find(`.entry[data-name="${CSS.escape(name)}"] .entry-picture`);
    if (answer?.picture && place) {
      const img = made("img");
      img.src = answer.picture;
      img.alt = "";
      place.replaceChildren(img);
    }
    if (answer?.error) {
      find("[data-do=previews]").setAttribute("aria-pressed", false);
      return complain(answer.error);
    }
  }
}
actions.previews = () => {
  const on = find("[data-do=previews]").getAttribute("aria-pressed") !== "true";
  atelier.keep("models.previews", on);
  quiet();
  showPreviews(on);
};

// ---- a search by name; a whole address is looked at

find(".add-search").addEventListener("submit", async (event) => {
  event.preventDefault();
  const words = event.target.querySelector("input").value.trim(), button = event.target.querySelector("button");
  quiet();
  if (!words) return;
  if (words.includes("/")) return look(words);
  button.disabled = true;
  const answer = await ask("search", { words });
  button.disabled = false;
  const list = find(".add-hub .add-found");
  list.replaceChildren();
  if (!answer) return;
  if (!answer.found.length) return list.append(made("li", "add-none", t("models.found_none", { words })));
  list.append(...answer.found.map((one) => {
    const facts = joined(
      one.task || t("models.task_unsaid"),
      licenceOf(one.licence),
      t("models.downloads", { count: one.downloads.toLocaleString(document.documentElement.lang) }),
      !one.fits && t("models.not_pictures"),
      one.here && t("models.here"),
    );
    return foundRow(one.repo, facts, () => look(one.repo), !one.fits);
  }));
});
function foundRow(name, facts, act, dim = false) {
  const row = made("li", dim ? "is-dim" : ""), button = made("button", "found");
  button.append(made("b", "", name), made("span", "", facts));
  button.addEventListener("click", act);
  row.append(button);
  return row;
}

// ---- a look at one, before anything of it is fetched

let looking = 0;
async function look(address) {
  const number = ++looking, place = find(".add-look");
  quiet();
  box.setAttribute("aria-busy", true);
  const answer = await server.look({ address });
  if (number !== looking) return;
  box.removeAttribute("aria-busy");
  if (!answer?.repo) { place.hidden = true; return complain(answer?.error); }
  looked = answer;
  place.hidden = false;
  const entry = entries.find((one) => one.name === address);
  put(place.querySelector(".watched-title b"), entry?.title || answer.repo);
  const here = models.some((one) => one.name === answer.name) || entry?.here;
  put(find(".look-here"), here ? t("models.here") : "");
  find(".look-here").hidden = !here;
  put(find(".look-repo"), joined(entry?.title && answer.repo, answer.file));
  put(find(".look-says"), joined(
    answer.note && `${answer.note}: ${t("models.from_cache")}`,
    answer.private && t("models.is_private"),
    answer.gated && t("models.is_gated"),
    answer.problem,
    entry?.note,
  ));
  showFacts(place.querySelector(":scope > .facts"), [
    [t("models.fact_licence"), answer.licence || t("models.licence_ask")],
    [t("models.fact_fetch"), answer.bytes ? megabytes(answer.bytes) : ""],
    [t("models.fact_task"), answer.task],
    [t("models.fact_commit"), answer.commit.slice(0, 12)],
  ]);
  find(".look-picture").hidden = find(".look-card").hidden = true;
  find(".look-choices").hidden = !answer.choices.length;
  const choice = (file) => foundRow(file.name, megabytes(file.bytes), () => look(file.address));
  find(".look-choices ul").replaceChildren(...answer.choices.map(choice));
  find(".look-install input").value = answer.name;
  place.querySelector(".files").replaceChildren(...answer.files.map((file) => fileRow(file)));
  place.querySelector("details").hidden = !answer.files.length;
  lightLook();
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "nearest" });
  const more = await server.glimpse({ address });
  if (number !== looking || !more) return;
  if (more.picture) {
    find(".look-picture").src = more.picture;
    find(".look-picture").alt = t("models.picture_of", { name: answer.repo });
    find(".look-picture").hidden = false;
  }
  find(".look-card").hidden = !more.card?.length;
  if (more.card) showCard(find(".look-card .card-text"), more.card);
}
const fileRow = ({ name, bytes }) => {
  const row = made("li");
  row.append(made("span", "", name), made("span", "", megabytes(bytes)));
  return row;
};
function lightLook() {
  const form = find(".look-install"), button = form.querySelector("button[type=submit]");
  for (const part of form.querySelectorAll("label, [type=submit]")) part.hidden = !looked?.files.length;
  button.disabled = Boolean(working);
  if (!looked) return;
  const partly = looked.kept > 0 && looked.kept < looked.bytes;
  const done = megabytes(looked.kept), total = megabytes(looked.bytes);
  put(button, partly ? t("models.go_on", { done, total }) : t("models.install_size", { size: total }));
}
lights.push(lightLook);
find(".look-install").addEventListener("submit", (event) => {
  event.preventDefault();
  begin({ job: "install", address: looked.address, name: event.target.querySelector("input").value });
});
actions.look_close = () => { looked = null; looking += 1; find(".add-look").hidden = true; };

finished.install = finished.adopt = async ({ kind, name, note }) => {
  actions.look_close();
  dropBrought();
  chosen = keyOf({ kind, name });
  atelier.keep("models.chosen", chosen);
  showing = "about";
  enter("installed");
  const cached = note ? ` ${note}: ${t("models.from_cache")}` : "";
  tell(t("models.installed_as", { name }) + cached);
};
// What has come of a fetch that was cancelled or cut stays: the button says from where it goes on.
finished.otherwise = async (job) => {
  if (job !== "install" || !looked) return;
  const { address } = looked, answer = await server.look({ address });
  if (answer?.repo && looked?.address === address) { looked = answer; lightLook(); }
};

// ---- a file of the person's own

const dropPlace = find(".add-file"), nameForm = find(".add-name");
async function take(files) {
  const file = files[0];
  quiet();
  if (working) return complain(t("models.busy"));
  if (files.length > 1) return complain(t("models.one_file"));
  if (file.size > props.max_bytes) {
    const sizes = { size: megabytes(file.size), limit: megabytes(props.max_bytes) };
    return complain(t("stage.too_big", { name: file.name, ...sizes }));
  }
  working = "bring";
  const send = onDesk((form) => (working === "bring" ? server.receive(form) : { error: t("models.cancelled") }));
  const bringing = { state: "running", note: "models.job_bring", values: { name: file.name } };
  const answer = await atelier.files.send(send, file, (part) => showWork({ ...bringing, fraction: part }), false);
  working = "";
  showWork(null);
  if (!answer.id) return complain(answer.error);
  brought = { file: answer.id };
  askName(file.name, answer.suggested);
}
function askName(file, suggested) {
  nameForm.hidden = false;
  find(".add-invite").hidden = true;
  put(find(".add-name-says"), t("models.file_says", { name: file }));
  nameForm.querySelector("input").value = suggested;
  nameForm.querySelector("input").focus();
}
function dropBrought() {
  brought = null;
  nameForm.hidden = true;
  find(".add-invite").hidden = false;
}
nameForm.addEventListener("submit", (event) => {
  event.preventDefault();
  begin({ job: "adopt", ...brought, name: nameForm.querySelector("input").value });
});
lights.push(() => { nameForm.querySelector("[type=submit]").disabled = Boolean(working); });
actions.choose_file = () => find(".add-chooser").click();
actions.file_not = () => { dropBrought(); find("[data-do=choose_file]").focus(); };
find(".add-chooser").accept = props.suffixes.join();
find(".add-path").addEventListener("submit", (event) => {
  event.preventDefault();
  const path = event.target.querySelector("input").value.trim();
  if (path) begin({ job: "adopt", path, name: "" });
});
atelier.dropzone(dropPlace, { taken: take, chooser: find(".add-chooser"), most: 2 });
