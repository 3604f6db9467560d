// One rater's session: show a trial, time the answer, go on only when the server has it on disk.

const GUARD = 150; // ms after a picture appeared in which the second tap of the answer before may still come
const WAITS = [0.5, 1, 2, 4, 8, 15]; // s between attempts; the last for all further ones
const PATIENCE = 15_000; // ms for a response
const KEYS = { ArrowLeft: 0, Digit1: 0, Numpad1: 0, ArrowRight: 1, Digit2: 1, Numpad2: 1 }; // places, whatever the layout
const LONGEST = 86_400_000; // ms that the server takes for an answer

const at = (id) => document.getElementById(id);
const screens = ["welcome", "trial", "pause", "done"].map(at);
const trial = at("trial");
const frames = [...trial.querySelectorAll(".frame")];
const choices = [...trial.querySelectorAll(".choice")];
const alts = trial.dataset.alt.split("|");
const base = `${location.origin}${location.pathname.replace(/\/+$/, "")}/`;

let phase = "welcome"; // then "loading", "ready", "saving"; in the end "done" or "stopped"
let state = null; // the trial, as the server told it
let paused = false;
let endPause = () => {};
let started = null; // when the clock last began to run; null while it stands
let elapsed = 0; // ms that it ran before, in an earlier load of the page as well
let pauses = 0;
let pictures = new Map(); // by address: of this trial and the next

const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
const say = (text) => { at("note").textContent = text; };

function show(screen) {
  for (const other of screens) other.hidden = other !== screen;
}

// ---- the server

async function wait(text, attempt) {
  const seconds = WAITS[Math.min(attempt, WAITS.length - 1)];
  say(`${text} Trying again ${seconds < 2 ? "…" : `in ${seconds} seconds …`}`);
  await new Promise((done) => {
    setTimeout(done, seconds * 1000);
    addEventListener("online", done, { once: true });
  });
}

/** Ask until there is an acknowledgement. A 409 is one: the answer is there already, and the state says what comes next. */
async function ask(path, answer) {
  const request = { cache: "no-store" };
  if (answer) {
    Object.assign(request, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(answer) });
  }
  for (let attempt = 0; ; attempt += 1) {
    let status = 0;
    try {
      const response = await fetch(base + path, { ...request, signal: AbortSignal.timeout(PATIENCE) });
      status = response.status;
      if (response.ok || status === 409) {
        const received = await response.json();
        say("");
        return { ...received, elsewhere: status === 409 && attempt === 0 }; // after that, it was most likely this page
      }
    } catch {
      // not reached, cut off, or too slow: as a 5xx
    }
    if (status >= 400 && status < 500 && status !== 408 && status !== 429) await stop();
    await wait(answer ? "Your answer is not saved yet; please keep this page open." : "The server cannot be reached.", attempt);
  }
}

function stop() {
  phase = "stopped";
  say("The server does not know this page any more. Please reload it.");
  return new Promise(() => {}); // nothing follows
}

// ---- the time of a trial that a reload, or closing the page, interrupts

function keep() {
  try {
    localStorage.setItem(base, JSON.stringify([state.position, elapsed, pauses]));
  } catch {
    // no trial yet, or a browser that stores nothing
  }
}

function take(received) {
  [state, elapsed, pauses] = [received, 0, 0];
  try {
    const [position, ...before] = JSON.parse(localStorage.getItem(base));
    if (position === state.position) [elapsed, pauses] = before;
  } catch {
    // nothing is stored
  }
}

// ---- pictures

function picture(path, side) {
  let image = pictures.get(path);
  if (!image) {
    image = new Image();
    image.alt = alts[side];
    image.draggable = false;
    image.src = base + path;
    pictures.set(path, image);
    image.decode().catch(() => pictures.delete(path)); // asked again when it is shown
  }
  return image;
}

async function present() {
  let shown;
  for (let attempt = 0; !shown; attempt += 1) {
    if (state.done) return finish();
    phase = "loading";
    const wanted = state.pictures.map(picture);
    try {
      await Promise.all(wanted.map((image) => image.decode()));
      shown = wanted;
    } catch {
      await wait("The picture could not be loaded.", attempt);
      take(await ask("trial")); // another tab may have gone on
    }
  }
  say("");
  while (paused) await new Promise((done) => { endPause = done; });
  at("bar").value = state.position;
  at("count").textContent = `${state.position + 1} of ${state.total}`;
  frames.forEach((frame, side) => frame.replaceChildren(shown[side]));
  for (const choice of choices) choice.classList.remove("chosen");
  trial.classList.remove("saving");
  await painted();
  phase = "ready";
  runClock();
  pictures = new Map([...pictures].filter(([path]) => state.pictures.includes(path)));
  state.next.forEach(picture);
}

// ---- the rater

function runClock() {
  if (phase === "ready" && !paused && started === null) started = performance.now();
}

async function choose(answer) {
  const now = performance.now();
  if (phase !== "ready" || started === null || now - started < GUARD) return;
  [phase, elapsed, started] = ["saving", Math.min(Math.round(elapsed + now - started), LONGEST), null];
  trial.classList.add("saving");
  choices[answer].classList.add("chosen");
  at("question").focus({ preventScroll: true }); // or a held Enter would press the button again
  take(await ask("answers", { position: state.position, answer, milliseconds: elapsed, pauses: Math.min(pauses, 1000) }));
  if (state.rest) pause("A short break?", `${state.position} of ${state.total} are done and saved.`);
  const { elsewhere } = state;
  await present();
  if (elsewhere) say("Your answer was not saved, since you had already given one in another window; that one counts.");
}

function pause(title, text) {
  if (paused || !["loading", "ready", "saving"].includes(phase)) return;
  paused = true;
  if (started !== null) {
    elapsed += performance.now() - started;
    started = null;
    pauses += 1;
  }
  keep();
  at("pause-title").textContent = title;
  at("pause-text").textContent = text;
  show(at("pause"));
  at("resume").focus();
}

const pauseNow = () => pause("Paused", "The clock stands still. Whenever you like, go on, or come back later by the same link.");

async function resume() {
  if (!paused) return;
  paused = false;
  show(trial);
  at("question").focus({ preventScroll: true });
  endPause();
  await painted();
  runClock();
}

async function begin() {
  if (phase !== "welcome") return;
  phase = "loading";
  show(trial);
  at("question").focus({ preventScroll: true });
  take(await ask("trial"));
  await present();
}

function finish() {
  [phase, paused] = ["done", false];
  show(at("done"));
}

function key(event) {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
  if (["welcome", "done", "stopped"].includes(phase)) return;
  const onButton = document.activeElement instanceof HTMLButtonElement; // Space presses it
  if (event.key.toLowerCase() === "p" || (event.code === "Space" && !onButton)) {
    event.preventDefault();
    if (paused) resume();
    else pauseNow();
    return;
  }
  const answer = KEYS[event.code];
  if (answer === undefined) return;
  event.preventDefault();
  choose(answer);
}

at("start").addEventListener("click", begin);
at("resume").addEventListener("click", resume);
at("pause-now").addEventListener("click", pauseNow);
choices.forEach((choice, answer) => {
  choice.addEventListener("click", () => choose(answer));
  choice.addEventListener("mousedown", (event) => event.preventDefault()); // or it keeps the focus, and Space presses it
});
if (frames.length === 2) {
  frames.forEach((frame, answer) => frame.addEventListener("click", (event) => {
    if (event.target instanceof HTMLImageElement) choose(answer);
  }));
}
addEventListener("keydown", key);
at("start").focus({ preventScroll: true });
document.addEventListener("visibilitychange", () => { if (document.hidden) pauseNow(); });
addEventListener("pagehide", pauseNow);
addEventListener("beforeunload", (event) => { if (phase === "saving") event.preventDefault(); });
