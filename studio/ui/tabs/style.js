
// ---- style: what the stage says, which brushes there are, and the keys

const COLOURS = ["#d94f3d", "#2f7fd1", "#e0a526", "#7a4fc0"];
const KEEP = 5; // the label of what stays as it is in the photo; 1..4 are the styles
hooks.labels = () => {
  const styles = current.styles.map((style, i) => ({ style, value: i + 1, colour: COLOURS[i] }))
    .filter(({ style }) => style);
  const regions = styles.length > 1
    ? styles.map(({ value, colour }) => ({ value, colour, name: t("style.region", { i: value }) })) : [];
  return [{ value: KEEP, colour: "#3c9d5b", name: t("style.keep") }, ...regions];
};

hooks.opens = async ({ kind, frames, name }) => {
  if (kind === "picture" && frames > 1) tell(statusLine, t("style.first_painted", { name, count: frames }));
  return false;
};

let regions = "";
hooks.changed = () => {
  const next = current.styles.map(Boolean).join();
  if (next !== regions) brush.setLabels(hooks.labels());
  regions = next;

  const film = onStage?.kind === "film", fine = current.quality === "fine", many = batch.length > 1;
  Object.assign(box.closest(".desk").dataset, { quality: current.quality, work: film ? "film" : "picture" });
  button("save").textContent = many ? t("style.make_many", { count: batch.length })
    : t(film ? "style.make_film" : fine ? "style.make_fine" : "stage.make");
  const line = find(".stage-goal");
  if (many) {
    line.textContent = t("style.goal_many", { count: batch.length, format: current.format.toUpperCase() });
    return;
  }
  if (!onStage) { line.textContent = ""; return; }
  const longest = Math.max(onStage.width, onStage.height);
  const scale = current.size && current.size !== longest ? current.size / longest : 1;
  const side = (n) => Math.max(1, Math.round(n * scale));
  const values = {
    name: onStage.name, width: onStage.width, height: onStage.height, to_width: side(onStage.width),
    to_height: side(onStage.height),
  };
  values.format = film ? t("style.film") : current.format.toUpperCase();
  line.textContent = t(scale === 1 ? "style.goal" : "style.goal_size", values);
};

atelier.hotkeys(element, {
  o: "open", m: "brush", s: "save", z: "undo", y: "redo", v: "peek", ArrowLeft: "previous", ArrowRight: "next",
}, (name) => actions[name]());

// The photo instead of the painting, and back: quicker than the divider.
actions.peek = () => compare.move(compare.at > 50 ? 0 : 100);
hooks.changed();
