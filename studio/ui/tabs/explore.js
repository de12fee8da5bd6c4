
// ---- explore: the buttons and keys beyond plain sliders

const MAX_SEED = 2 ** 32 - 1;
const hundredths = (x) => Math.round(x * 100) / 100;
const zeros = () => defaults.dials.map(() => 0);
// Two of three dials move, and not to their ends, so that the picture stays itself.
const nudge = () => (Math.random() < 0.67 ? hundredths(Math.random() * 1.2 - 0.6) : 0);
let playing = null; // {from, at} while the walk plays

Object.assign(actions, {
  random: () => set({ seed: atelier.randomSeed(), walk: 0 }),
  previous: () => set((s) => ({ seed: Math.max(0, s.seed - 1) })),
  next: () => set((s) => ({ seed: Math.min(MAX_SEED, s.seed + 1) })),
  random_end: () => set({ to_seed: atelier.randomSeed() }),
  random_mix: () => set({ mix_seed: atelier.randomSeed() }),
  swap: () => set((s) => ({ seed: s.to_seed, to_seed: s.seed, walk: hundredths(1 - s.walk) })),
  reset_dials: () => set({ dials: zeros() }),
  shuffle_dials: () => set({ dials: zeros().map(nudge) }),
  reset: () => set((s) => ({ ...defaults, model: s.model, seed: s.seed, to_seed: s.to_seed, mix_seed: s.mix_seed })),
  play() {
    playing = playing ? null : { from: live.settings.walk, at: performance.now() };
    if (playing) requestAnimationFrame(step);
    lightPlay();
  },
});

// To the end and back again, six seconds a way, starting where the slider stands.
function step(now) {
  if (!playing) return;
  const way = playing.from + Math.max(0, now - playing.at) / 6000;
  const walk = 1 - Math.abs(1 - (way % 2));
  if (!busy) set({ walk: Math.round(walk * 200) / 200 });
  if (document.hidden || !element.isConnected) { playing = null; lightPlay(); } else requestAnimationFrame(step);
}

function lightPlay() {
  const play = document.querySelector("#explore-play");
  if (play) play.textContent = t(playing ? "explore.stop" : "explore.play");
}
document.addEventListener("pointerdown", (event) => {
  if (playing && event.target.closest?.("#explore-walk")) actions.play();
}, true);

atelier.hotkeys(element, {
  r: "random", ArrowLeft: "previous", ArrowRight: "next", e: "random_end", x: "swap", " ": "play",
  d: "shuffle_dials", b: "bookmark", 0: "reset_dials", z: "undo", y: "redo", s: "save", o: "open",
}, (name) => actions[name]?.());
