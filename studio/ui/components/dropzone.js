// A place that takes files: dropped onto it, chosen in a dialogue, or pasted while it has the focus.
(() => {
  /**
   * Make `box` such a place. taken(files) gets what came; the box carries the class "drop" while files
   * hang over it. chooser: the <input type=file> that button clicks open. folder: another one, for
   * folders. most: of the files in a drop.
   */
  atelier.dropzone = (box, { taken, chooser, folder, most }) => {
    let inside = 0; // dragenter and dragleave also come from the elements within
    const dragsFiles = (event) => event.dataTransfer?.types.includes("Files");
    const light = (on) => box.classList.toggle("drop", on);
    box.addEventListener("dragenter", (event) => {
      if (!dragsFiles(event)) return;
      event.preventDefault();
      inside += 1;
      light(true);
    });
    box.addEventListener("dragover", (event) => { if (dragsFiles(event)) event.preventDefault(); });
    box.addEventListener("dragleave", () => {
      inside = Math.max(0, inside - 1);
      if (!inside) light(false);
    });
    box.addEventListener("drop", async (event) => {
      if (!dragsFiles(event)) return;
      event.preventDefault();
      event.stopPropagation();
      inside = 0;
      light(false);
      const files = await atelier.files.dropped(event.dataTransfer, most);
      if (files.length) taken(files);
    });
    for (const input of [chooser, folder]) {
      input?.addEventListener("change", async () => {
        const files = [...input.files].filter((file) => !file.name.startsWith("."));
        if (files.length) await taken(files);
        input.value = "";
      });
    }
  };

  // A file that misses its place must not replace the page and all that is on it.
  for (const kind of ["dragover", "drop"]) {
    window.addEventListener(kind, (event) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    });
  }

  // A paste goes to the zone that holds the focus, else to the first that can be seen.
  const zones = [];
  atelier.pastezone = (box, taken) => zones.push({ box, taken });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    const seen = zones.filter(({ box }) => box.isConnected && box.getClientRects().length);
    const zone = seen.find(({ box }) => box.contains(document.activeElement)) ?? seen[0];
    if (!zone) return;
    event.preventDefault();
    zone.taken(files);
  });
})();
