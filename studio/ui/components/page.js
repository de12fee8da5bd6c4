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

    randomSeed: () => crypto.getRandomValues(new Uint32Array(1))[0],

    /** A name for this visit: 32 hexadecimal digits. */
    pageName: () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join(""),
  };
})();
