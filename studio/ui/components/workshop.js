// What the tabs of several rooms share: small elements, the rooms, a desk of their own, and work that takes long.
(() => {
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  function made(tag, style = "", words = "") {
    const one = document.createElement(tag);
    one.className = style;
    one.textContent = words;
    if (tag === "button") one.type = "button";
    return one;
  }

  function put(place, words) {
    if (place.textContent !== words) place.textContent = words;
  }

  /**
   * Furnish the tab `element`, whose functions on the server are `server`: `rooms` are the names of its rooms, the
   * first of which is entered where this browser keeps none, and `entered(room)` hears of each that is. `actions`
   * take what is done by data-do. What is begun on its desk is none of the other tabs' work.
   */
  atelier.workshop = (element, server, { name, rooms, entered }) => {
    const box = element.querySelector(".workshop");
    const find = (selector) => box.querySelector(selector);
    const all = (selector) => [...box.querySelectorAll(selector)];
    const actions = {}, desk = atelier.deskName(`${name}.desk`);
    const onDesk = (send) => (form) => send(
      form.binary ? { ...form, data: { ...form.data, desk } } : { ...form, desk },
    );
    const kept = atelier.recall(`${name}.room`);
    let room = rooms.includes(kept) ? kept : rooms[0];
    atelier.translate(element);

    function enter(wanted = room, focus = false) {
      room = wanted;
      atelier.keep(`${name}.room`, room);
      for (const tab of all("[role=tab][data-room]")) {
        const here = tab.dataset.room === room;
        tab.setAttribute("aria-selected", here);
        tab.tabIndex = here ? 0 : -1;
        if (here && focus) tab.focus();
      }
      for (const place of all(".workshop-room")) place.hidden = place.dataset.room !== room;
      entered(room);
    }
    find(".workshop-rooms").addEventListener("click", (event) => {
      const wanted = event.target.closest("[data-room]")?.dataset.room;
      if (wanted) enter(wanted);
    });
    find(".workshop-rooms").addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      enter(rooms[(rooms.indexOf(room) + step + rooms.length) % rooms.length], true);
    });
    box.addEventListener("click", (event) => {
      const action = event.target.closest("[data-do]")?.dataset.do;
      if (action) actions[action]?.(event);
    });

    /** Show a job as often as it is heard of, until it has ended: its last report, or null if the tab is gone. */
    async function ended(report, show) {
      let wait = 60; // ms; much work is done at once
      while (["waiting", "running"].includes(report.state)) {
        show(report);
        await pause(document.hidden ? 3000 : wait);
        wait = Math.min(400, 1.5 * wait);
        if (!element.isConnected) return null;
        report = (await server.watch({ desk, shown: 0 })) ?? report; // a server that does not answer may come back
      }
      return report;
    }

    /** The file that a job ended with, as JSON: {result}, or {error} with a sentence. */
    async function fetched(report) {
      const got = await atelier.files.fetched(onDesk(server.take), report.file);
      return got.file ? { result: JSON.parse(await got.file.text()) } : { error: got.error };
    }

    /** Fill a place for progress with a report. */
    function showProgress(place, { state, note, values, ahead, fraction }) {
      const percent = Math.round(100 * fraction);
      const words = state === "waiting" ? atelier.t("stage.waiting", { ahead }) : note ? atelier.t(note, values) : "";
      put(place.querySelector(".stage-work-note"), words);
      put(place.querySelector(".stage-work-percent"), percent ? `${percent}%` : "");
      place.querySelector(".stage-progress").setAttribute("aria-valuenow", percent);
      place.querySelector(".stage-progress span").style.width = `${percent}%`;
    }

    return {
      box, find, all, made, put, pause, actions, desk, onDesk, enter, room: () => room, ended, fetched, showProgress,
    };
  };
})();
