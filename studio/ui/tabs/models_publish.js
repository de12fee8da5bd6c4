
// ---- publishing: everything is shown before anything is sent

const form = find(".publish-form"), seenPlace = find(".publish-seen");
let seen = null;
const fields = Object.fromEntries(["model", "repo", "licence"].map((name) => [name, form.elements[name]]));
const licenceOption = (name) => new Option(name === "other" ? t("models.licence_other") : name, name);
fields.licence.append(new Option(t("models.publish_choose"), ""), ...props.licences.map(licenceOption));
const LICENCE_SAYS = {
  mit: "models.says_named", "apache-2.0": "models.says_named", "bsd-3-clause": "models.says_named",
  "cc0-1.0": "models.says_free", "cc-by-4.0": "models.says_named", "cc-by-sa-4.0": "models.says_alike",
  "cc-by-nc-4.0": "models.says_unpaid", "cc-by-nc-sa-4.0": "models.says_unpaid_alike",
  openrail: "models.says_rail", other: "models.says_other",
};
fields.licence.addEventListener("change", () => {
  const key = LICENCE_SAYS[fields.licence.value];
  put(form.querySelector(".publish-licence-says"), key ? t(key) : "");
});
function publishing(name) {
  const names = models.filter(({ kind, damaged, origin }) => kind === "model" && !damaged && origin !== "bundled");
  const had = name ?? fields.model.value;
  fields.model.replaceChildren(...names.map((one) => new Option(nameOf(one), one.name)));
  if (names.some((one) => one.name === had)) fields.model.value = had;
  form.querySelector("[type=submit]").disabled = !names.length || Boolean(working);
  if (!names.length) fields.model.append(new Option(t("models.publish_none"), ""));
}
hears.publish = async () => {
  if (!models.length) await listModels();
  publishing();
};
function graveRow(note) {
  const row = made("li", "grave");
  row.append(made("div", "", note));
  return row;
}
const unsee = () => { seen = null; seenPlace.hidden = true; };
form.addEventListener("input", unsee);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  quiet();
  unsee();
  find(".publish-done").hidden = true;
  const asked = {
    model: fields.model.value, repo: fields.repo.value.trim(), licence: fields.licence.value,
    public: form.elements.who.value === "public",
  };
  if (!asked.licence) { fields.licence.focus(); return complain(t("models.publish_no_licence")); }
  if (!asked.repo) { fields.repo.focus(); return complain(t("models.publish_repo_help")); }
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  const answer = await ask("prepare", asked);
  button.disabled = false;
  if (!answer) return;
  seen = { ...asked, seen: answer.seen };
  seenPlace.hidden = false;
  const where = answer.private ? "models.publish_where_private" : "models.publish_where_public";
  put(find(".publish-where"), t(where, { url: answer.url, licence: answer.licence }));
  seenPlace.querySelector(".findings").replaceChildren(...answer.notes.map(graveRow));
  seenPlace.querySelector(".files").replaceChildren(...answer.files.map((file) => fileRow(file)));
  put(find(".publish-card"), answer.card);
  put(find(".publish-login"), answer.signed_in ? "" : t("models.signed_out"));
  const send = answer.private ? "models.send_private" : "models.send_public";
  put(find("[data-do=send]"), t(send, { size: megabytes(answer.bytes) }));
  seenPlace.focus({ preventScroll: true });
  seenPlace.scrollIntoView({ block: "nearest" });
});
actions.send = () => { if (seen) begin({ job: "publish", ...seen }); };
actions.send_not = () => { unsee(); fields.model.focus(); };
lights.push(() => { find("[data-do=send]").disabled = Boolean(working); });
finished.publish = ({ url, private: hidden, title }) => {
  unsee();
  const place = find(".publish-done");
  place.hidden = false;
  const sent = t(hidden ? "models.sent_private" : "models.sent_public", { title });
  place.replaceChildren(made("span", "", sent), made("span", "", " "), made("code", "", url));
  enter("publish");
};

// ---- the Hub's cache on this machine

async function showCache() {
  const answer = await ask("cache");
  if (!answer) return;
  const { folder } = answer, count = answer.models.length;
  const total = () => t("models.cache_total", { count, size: megabytes(answer.bytes), folder });
  put(find(".cache-total"), count ? total() : t("models.cache_empty", { folder }));
  find(".cache-table tbody").replaceChildren(...answer.models.map((one) => {
    const row = made("tr"), last = made("td"), name = made("th", "", one.repo);
    const drop = made("button", "", t("models.delete"));
    name.scope = "row";
    drop.setAttribute("aria-label", `${t("models.delete")} ${one.repo}`);
    drop.addEventListener("click", () => {
      const sure = made("button", "lead", t("models.delete_sure")), not = made("button", "", t("models.delete_not"));
      sure.addEventListener("click", async () => {
        quiet();
        const gone = await ask("forget", { repo: one.repo });
        if (!gone) return;
        await showCache();
        tell(t("models.forgotten", { repo: one.repo, size: megabytes(gone.freed) }));
      });
      not.addEventListener("click", () => { last.replaceChildren(drop); drop.focus(); });
      last.replaceChildren(not, sure);
      not.focus();
    });
    last.append(drop);
    const unfinished = one.unfinished && t("models.cache_unfinished", { size: megabytes(one.unfinished) });
    const state = joined(unfinished, one.here && t("models.here"));
    const cells = [megabytes(one.bytes), state, day(one.used)].map((words) => made("td", "", words));
    row.append(name, ...cells, last);
    return row;
  }));
}
hears.cache = showCache;

// ---- the beginning: what was there before a reload is there again

enter();
if (props.own) {
  (async () => {
    const report = await server.watch({ desk, shown: 0 });
    if (report?.state) await follow(report);
  })();
}
// Other tabs install too: a training's snapshot that was opened is here when the reader comes back.
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("#tabs [role=tab]") || box.contains(event.target)) return;
  setTimeout(() => { if (element.offsetParent && room() === "installed") listModels(); }, 100);
});
