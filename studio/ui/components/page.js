// What every part of the page shares: messages in the page's language, and settings kept over a reload.
(() => {
  const messages = window.gradio_config?.i18n_translations?.en ?? {};
  document.documentElement.lang = messages["page.lang"] ?? "en";

  window.atelier = {
    live: {},

    /** The message `key`, with {name} replaced from `values`. */
    t(key, values = {}) {
      return (messages[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
    },

    /** Fill in what carries data-t (its text), data-t-label (its name for screen readers) or data-t-title. */
    translate(root) {
      for (const e of root.querySelectorAll("[data-t]")) e.textContent = this.t(e.dataset.t);
      for (const e of root.querySelectorAll("[data-t-label]")) e.setAttribute("aria-label", this.t(e.dataset.tLabel));
      for (const e of root.querySelectorAll("[data-t-title]")) e.title = this.t(e.dataset.tTitle);
    },

    /** A value kept by this browser, or null. Storage may be forbidden, full or hold another program's text. */
    recall(key) {
      try { return JSON.parse(localStorage.getItem("atelier." + key)); } catch { return null; }
    },
    keep(key, value) {
      try { localStorage.setItem("atelier." + key, JSON.stringify(value)); } catch { /* the page works without */ }
    },

    /**
     * Single keys as names of actions while `element` can be seen; Ctrl or Cmd too, for undo and redo.
     * A key that means something where the focus is stays there.
     */
    hotkeys(element, names, run) {
      document.addEventListener("keydown", (event) => {
        const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
        const name = names[key];
        const command = event.ctrlKey || event.metaKey;
        if (!name || event.altKey || event.defaultPrevented || !element.offsetParent) return;
        if (command && !["undo", "redo"].includes(name)) return;
        const at = (selector) => event.target.closest?.(selector);
        if (at("textarea, select, [role=listbox], input:not([type=range], [type=radio], [type=checkbox])")) return;
        if (key.startsWith("Arrow") && at("input, [role=tab]")) return;
        if (key === " " && at("input, button, a, summary, [role=tab]")) return;
        event.preventDefault();
        run(command && event.shiftKey && name === "undo" ? "redo" : name);
      });
    },

    /** Fill a slider's track up to its value, where the style sheet draws it so. */
    fillTrack(range) {
      const part = (range.value - range.min) / (range.max - range.min || 1);
      range.style.setProperty("--range_progress", `${100 * part}%`);
    },

    randomSeed: () => crypto.getRandomValues(new Uint32Array(1))[0],

    /** A name for this visit: 32 hexadecimal digits. */
    pageName: () => Array.from(
      crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0"),
    ).join(""),

    /** The name of one of this visitor's desks: the same after a reload, another in every window. */
    deskName(key) {
      try {
        const kept = sessionStorage.getItem("atelier." + key);
        if (/^[0-9a-f]{32}$/.test(kept)) return kept;
        const made = this.pageName();
        sessionStorage.setItem("atelier." + key, made);
        return made;
      } catch { return this.pageName(); }
    },
  };
})();
