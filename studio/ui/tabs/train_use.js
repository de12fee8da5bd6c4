
// ---- what a run's models may be used for: opened in Explore, or saved as a file with a card in the person's words

const LICENCES = ["CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0"];
const CARD = { // its fields; of the choices, those in the reader's language are written into the card in English
  title: null,
  data_note: null,
  data_licence: { "": "none", "own work": "own", "public domain": "public", ...asTheyAre(LICENCES) },
  licence: { "": "none", ...asTheyAre([...LICENCES, "Apache-2.0", "MIT"]) },
};
const OTHER = "…"; // stands for words of one's own
function asTheyAre(names) { return Object.fromEntries(names.map((name) => [name, null])); }

let useShown = "";
function showUse() {
  const { snapshots = [], best } = facts, menu = find(".watched-use select");
  const key = JSON.stringify([chosen, snapshots, best]);
  find(".watched-use").hidden = !snapshots.length;
  find("[data-do=explore]").hidden = !facts.explorable;
  if (key === useShown) return;
  useShown = key;
  const had = menu.value, newest = snapshots.at(-1);
  menu.replaceChildren(...snapshots.toReversed().map((kimg) => {
    const what = [kimg === newest ? t("train.newest") : "", kimg === best ? t("train.best") : ""];
    const words = [t("train.at", { kimg: rounded(kimg) }), ...what].filter(Boolean).join(" · ");
    return new Option(words, kimg === newest ? "" : kimg);
  }));
  if (had && snapshots.includes(Number(had))) menu.value = had;
  if (cardOf !== chosen) showCard();
}

// ---- the card

let cardOf = ""; // the run whose card the form is for
function showCard() {
  cardOf = chosen;
  const kept = atelier.recall("train.card");
  const had = kept?.run === chosen && kept.card && typeof kept.card === "object" ? kept.card : {};
  find(".model-card .fields").replaceChildren(...Object.entries(CARD).flatMap(([name, choices]) => {
    const value = typeof had[name] === "string" ? had[name] : "";
    if (choices) return licenceRows(name, choices, value);
    const row = cardRow(t(CARD_WORDS[name]), cardText(name, value || (name === "title" ? chosen : "")));
    if (name === "data_note") row.append(made("small", "", t("train.card_data_hint")));
    return [row];
  }));
}
const CARD_WORDS = {
  title: "train.card_title", data_note: "train.card_data", data_licence: "train.card_data_licence",
  licence: "train.card_licence",
};
function cardRow(label, input) {
  const row = made("label", "row");
  row.append(made("span", "", label), input);
  return row;
}
function cardText(name, value) {
  const input = made("input");
  Object.assign(input, { type: "text", maxLength: props.max_card, autocomplete: "off", value });
  input.dataset.card = name;
  return input;
}
function licenceRows(name, choices, value) {
  const menu = made("select"), own = cardText(name, value), other = value !== "" && !(value in choices);
  menu.append(...Object.entries(choices).map(([one, key]) => new Option(key ? t(`train.licence_${key}`) : one, one)));
  menu.append(new Option(t("train.licence_other"), OTHER));
  menu.value = other ? OTHER : value;
  const words = cardRow(t("train.licence_words"), own);
  words.hidden = !other;
  menu.addEventListener("change", () => {
    words.hidden = menu.value !== OTHER;
    own.value = menu.value === OTHER ? "" : menu.value;
    if (!words.hidden) own.focus();
    keepCard();
  });
  return [cardRow(t(CARD_WORDS[name]), menu), words];
}
const cardSaid = () => Object.fromEntries(all("[data-card]").map((text) => [text.dataset.card, text.value.trim()]));
const keepCard = () => atelier.keep("train.card", { run: chosen, card: cardSaid() });
find(".model-card").addEventListener("input", keepCard);

// ---- what is asked for

// No number is the newest there is by the time it is asked for: a trainer at work drops its older states.
const snapshot = () => (find(".watched-use select").value ? Number(find(".watched-use select").value) : null);
actions.explore = () => begin({ job: "explore", run: chosen, kimg: snapshot() });
actions.export = () => begin({ job: "export", run: chosen, kimg: snapshot(), card: cardSaid() });
finished.explore = async ({ model }) => {
  const words = t("explore.title");
  [...document.querySelectorAll("#tabs [role=tab]")].find((tab) => tab.textContent.trim() === words)?.click();
  // Its controls report what they hold as they appear: the model is set once they have. Seeds and dials stay.
  for (let i = 0; i < 100 && !atelier.live.explore?.good; i++) await pause(200);
  await pause(300);
  atelier.live.explore?.set({ model });
};
