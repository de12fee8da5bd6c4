// Two pictures in one place and a divider between them:
// what was before stands on its left, what became of it on its right.
(() => {
  /**
   * `box` holds .compare-before and .compare-after (each an <img>) and .compare-divider. The divider follows a drag
   * anywhere on the box and, when it has the focus, the arrows, Page, Home and End keys.
   */
  atelier.compare = (box, { key, enabled = () => true }) => {
    const divider = box.querySelector(".compare-divider");
    const kept = atelier.recall(key);
    let at = typeof kept === "number" && kept >= 0 && kept <= 100 ? kept : 0; // percent from the left
    divider.setAttribute("role", "slider");
    divider.setAttribute("aria-valuemin", 0);
    divider.setAttribute("aria-valuemax", 100);
    divider.tabIndex = 0;

    function move(to, remember = true) {
      at = Math.min(100, Math.max(0, to));
      box.style.setProperty("--at", `${at}%`);
      box.classList.toggle("at-start", at < 12);
      box.classList.toggle("at-end", at > 88);
      box.classList.toggle("at-edge", at === 0 || at === 100);
      divider.setAttribute("aria-valuenow", Math.round(at));
      divider.setAttribute("aria-valuetext", atelier.t("compare.value", { percent: Math.round(at) }));
      if (remember) atelier.keep(key, at);
    }
    const follow = (event) => {
      const place = box.getBoundingClientRect();
      move((100 * (event.clientX - place.left)) / place.width);
    };

    let drag = null; // {x, y, on}: a touch becomes a drag when it goes sideways, so that the page still scrolls
    box.addEventListener("pointerdown", (event) => {
      if (!enabled() || event.button || event.target.closest("button, input")) return;
      const onDivider = divider.contains(event.target);
      drag = { x: event.clientX, y: event.clientY, on: onDivider || event.pointerType === "mouse" };
      if (!drag.on) return;
      event.preventDefault();
      box.setPointerCapture(event.pointerId);
      divider.focus({ preventScroll: true });
      follow(event);
    });
    box.addEventListener("pointermove", (event) => {
      if (!drag || !enabled()) return;
      if (
        !drag.on && Math.abs(event.clientX - drag.x) > 8
        && Math.abs(event.clientX - drag.x) > Math.abs(event.clientY - drag.y)
      ) {
        drag.on = true;
        box.setPointerCapture(event.pointerId);
      }
      if (drag.on) follow(event);
    });
    for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, () => { drag = null; });

    divider.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 10 : 2;
      const to = {
        ArrowLeft: at - step, ArrowDown: at - step, ArrowRight: at + step, ArrowUp: at + step,
        PageDown: at - 10, PageUp: at + 10, Home: 0, End: 100,
      }[event.key];
      if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      move(to);
    });
    move(at, false);
    return {
      move,
      get at() { return at; },
    };
  };
})();
