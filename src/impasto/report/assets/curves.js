/* Curves: one chart a metric, drawn when it comes into view. */
const NS = "http://www.w3.org/2000/svg";
const MARGIN = { left: 52, right: 10, top: 12, bottom: 22 };
const lines = JSON.parse(document.getElementById("lines")?.textContent ?? "[]").map(([run, colour, title, photograph]) => ({ run, colour, title, name: title + (photograph && `: ${photograph}`) }));
const options = { smoothing: 0 };
const drawn = new Set();
const draw = (name, attributes, text) => {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
};
const look = (line) => `k${lines[line].colour % 10} d${Math.floor(lines[line].colour / 10) % 4}`;
const sample = (line) => {
  const svg = draw("svg", { viewBox: "0 0 24 8", "aria-hidden": "true" });
  svg.append(draw("path", { d: "M1 4H23", class: `line ${look(line)}` }));
  return svg;
};

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.plot = figure.querySelector(".plot");
    this.name = figure.dataset.name;
    this.log = options.log;
    this.curves = JSON.parse(figure.querySelector("script").textContent).map(([line, steps, values]) => ({ line, steps, values: values.map(Number) }));
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "group");
    this.tip = make("div", { class: "tip", role: "status" });
    this.tip.hidden = true;
    this.box = make("input", { type: "checkbox" });
    this.box.addEventListener("change", () => { this.log = this.box.checked; this.draw(); });
    figure.querySelector("figcaption").append(make("label", {}, this.box, "log"));
    this.plot.append(this.tip);
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.plot.addEventListener("pointerdown", (event) => this.point(event));
    this.plot.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") this.leave(); });
    this.plot.addEventListener("blur", () => this.leave());
    this.plot.addEventListener("keydown", (event) => this.key(event));
    this.addTable();
    new ResizeObserver(() => { if (this.plot.clientWidth !== this.drawnWidth) this.draw(); }).observe(this.plot);
  }

  get shown() { return this.curves.filter((curve) => !hiddenRuns.has(lines[curve.line].run)); }

  addTable() {
    const details = make("details", {}, make("summary", {}, "Values"));
    details.addEventListener("toggle", () => {
      if (!details.open || details.children.length > 1) return;
      const head = make("tr");
      for (const name of ["run", "first", "last", "least", "greatest"]) head.append(make("th", { scope: "col" }, name));
      const rows = this.curves.map(({ line, steps, values }) => {
        const row = make("tr", {}, make("th", { scope: "row" }, lines[line].name));
        const numbers = values.filter((value) => !Number.isNaN(value)), at = (value) => ` at ${steps[values.indexOf(value)].toLocaleString("en")}`;
        const ends = [Math.min(...numbers), Math.max(...numbers)].map((value) => (numbers.length ? say(value) + at(value) : "NaN"));
        for (const text of [say(values[0]), say(values.at(-1)), ...ends]) row.append(make("td", { class: "num" }, text));
        return row;
      });
      details.append(make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Values of ${this.name}` }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
    });
    this.figure.append(details);
  }

  scales() {
    const { width, height } = this.plot.getBoundingClientRect();
    const fits = (value) => Number.isFinite(value) && (!this.log || value > 0);
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const { steps, soft } of this.paths) {
      left = Math.min(left, steps[0]);
      right = Math.max(right, steps.at(-1));
      for (const value of soft) if (fits(value)) { low = Math.min(low, value); high = Math.max(high, value); }
    }
    if (low > high) [low, high] = [this.log ? 0.1 : 0, 1];
    if (low === high) [low, high] = this.log ? [low / 2, high * 2] : [low - (Math.abs(low) * 0.1 || 1), high + (Math.abs(high) * 0.1 || 1)];
    if (left > right) [left, right] = [0, 1];
    if (left === right) right = left + 1;
    const raise = this.log ? Math.log : (value) => value;
    const pad = (raise(high) - raise(low)) * 0.04, bottom = raise(low) - pad, span = raise(high) + pad - bottom;
    const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
    Object.assign(this, { width, height, low, high, left, right, fits });
    this.x = (step) => MARGIN.left + ((step - left) / (right - left)) * inner.width;
    this.y = (value) => MARGIN.top + (1 - (raise(value) - bottom) / span) * inner.height;
  }

  draw() {
    this.drawnWidth = this.plot.clientWidth;
    if (!this.drawnWidth) return;
    this.box.checked = this.log;
    this.paths = this.shown.map((curve) => ({ ...curve, soft: smooth(curve.values, options.smoothing) }));
    this.scales();
    const svg = draw("svg", { role: "img", "aria-label": this.description(), viewBox: `0 0 ${this.width} ${this.height}` });
    this.axes(svg);
    for (const path of this.paths) {
      if (options.smoothing && this.paths.length <= 10) svg.append(this.path(path.steps, path.values, `line raw ${look(path.line)}`));
      path.element = this.path(path.steps, path.soft, `line ${look(path.line)}`);
      svg.append(path.element, ...this.odd(path));
    }
    this.cursor = draw("line", { class: "cursor", y1: MARGIN.top, y2: this.height - MARGIN.bottom, visibility: "hidden" });
    svg.append(this.cursor);
    this.plot.querySelector("svg")?.remove();
    this.plot.prepend(svg);
    this.plot.setAttribute("aria-label", `${this.name}; arrow keys read its values`);
    this.leave();
  }

  description() {
    const range = `between ${say(this.low)} and ${say(this.high)}, steps ${say(this.left)} to ${say(this.right)}`;
    return `${this.name}: ${this.paths.length} ${this.paths.length === 1 ? "curve" : "curves"}, ${range}`;
  }

  axes(svg) {
    const [end, bottom] = [this.width - MARGIN.right, this.height - MARGIN.bottom];
    for (const tick of this.log ? logTicks(this.low, this.high) : ticks(this.low, this.high, 4)) {
      const y = this.y(tick);
      svg.append(draw("line", { class: "grid", x1: MARGIN.left, x2: end, y1: y, y2: y }), draw("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, sayTick(tick)));
    }
    for (const tick of ticks(this.left, this.right, Math.max(2, Math.floor(this.width / 110)))) {
      const x = this.x(tick), anchor = x > end - 20 ? "end" : x < MARGIN.left + 20 ? "start" : "middle";
      svg.append(draw("text", { x, y: bottom + 16, "text-anchor": anchor }, tick.toLocaleString("en")));
    }
    svg.append(draw("line", { class: "grid", x1: MARGIN.left, x2: end, y1: bottom, y2: bottom }));
  }

  path(steps, values, look) {
    let text = "", pen = "M", lonely = false;
    for (let index = 0; index < steps.length; index += 1) {
      if (!this.fits(values[index])) {
        if (lonely) text += "h.01";
        [pen, lonely] = ["M", false];
        continue;
      }
      text += `${pen}${this.x(steps[index]).toFixed(1)} ${this.y(values[index]).toFixed(1)}`;
      [pen, lonely] = ["L", pen === "M"];
    }
    return draw("path", { class: look, d: text + (lonely ? "h.01" : ""), "stroke-linecap": "round" });
  }

  /* Values that no axis has: NaN at the bottom, infinite ones at their end. */
  odd({ line, steps, values }) {
    const marks = [];
    for (let index = 0; index < steps.length && marks.length < 30; index += 1) {
      const value = values[index];
      if (Number.isFinite(value)) continue;
      const y = value === Infinity ? MARGIN.top + 8 : this.height - MARGIN.bottom - 2;
      marks.push(draw("text", { class: `odd ${look(line)}`, x: this.x(steps[index]), y, "text-anchor": "middle" }, Number.isNaN(value) ? "\u00d7" : value > 0 ? "\u25b2" : "\u25bc"));
    }
    for (const mark of marks) mark.removeAttribute("stroke-dasharray");
    return marks;
  }

  point(event) {
    if (!this.paths?.length) return;
    const box = this.plot.getBoundingClientRect();
    this.read(event.clientX - box.left, event.clientY - box.top);
  }

  key(event) {
    if (event.key === "Escape") { this.leave(); return; }
    const longest = this.paths?.reduce((a, b) => (b.steps.length > a.steps.length ? b : a), this.paths[0]);
    const moves = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    if (!longest || !(event.key in moves)) return;
    event.preventDefault();
    this.at = Math.max(0, Math.min(longest.steps.length - 1, (this.at ?? -1) + moves[event.key]));
    this.read(this.x(longest.steps[this.at]), undefined);
  }

  read(x, y) {
    const found = this.paths.map((path) => {
      let best = 0;
      for (let index = 1; index < path.steps.length; index += 1) if (Math.abs(this.x(path.steps[index]) - x) <= Math.abs(this.x(path.steps[best]) - x)) best = index;
      const soft = path.soft[best], place = this.fits(soft) ? this.y(soft) : this.height;
      return { path, best, place, far: Math.abs(this.x(path.steps[best]) - x) + (y === undefined ? 0 : Math.abs(place - y)) };
    });
    const nearest = found.reduce((a, b) => (b.far < a.far ? b : a));
    for (const { path } of found) path.element.classList.toggle("near", path === nearest.path && found.length > 1);
    const step = nearest.path.steps[nearest.best], across = this.x(step);
    const there = found.filter(({ path, best }) => Math.abs(this.x(path.steps[best]) - across) < 24);
    for (const name of ["x1", "x2"]) this.cursor.setAttribute(name, across);
    this.cursor.setAttribute("visibility", "visible");
    const sorted = [nearest, ...there.filter((one) => one !== nearest).sort((a, b) => (y === undefined ? 0 : Math.abs(a.place - y) - Math.abs(b.place - y)))].slice(0, 9);
    const rows = sorted.map(({ path, best }) => {
      const other = path.steps[best] === step ? "" : ` (step ${path.steps[best].toLocaleString("en")})`;
      const soft = options.smoothing ? `${say(path.soft[best])} (${say(path.values[best])})` : say(path.values[best]);
      return make("div", {}, make("i", { class: look(path.line) }), make("span", {}, make("bdi", {}, lines[path.line].name)), make("b", {}, soft + other));
    });
    if (there.length > sorted.length) rows.push(make("div", {}, `and ${there.length - sorted.length} more`));
    this.tip.replaceChildren(`step ${step.toLocaleString("en")}`, ...rows);
    this.tip.hidden = false;
    const space = this.plot.clientWidth - this.tip.offsetWidth, wanted = across < this.plot.clientWidth / 2 ? across + 14 : across - this.tip.offsetWidth - 14;
    this.tip.style.left = `${Math.max(0, Math.min(space, wanted))}px`;
  }

  leave() {
    this.tip.hidden = true;
    this.at = undefined;
    this.cursor?.setAttribute("visibility", "hidden");
    for (const path of this.paths ?? []) path.element?.classList.remove("near");
  }
}

function start(figure) {
  if (figure.dataset.drawn) return;
  figure.dataset.drawn = "yes";
  const chart = new Chart(figure);
  drawn.add(chart);
  chart.draw();
}
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); start(entry.target); }
}, { rootMargin: "150px" });
for (const figure of all(".chart[data-name]")) seen.observe(figure);
addEventListener("beforeprint", () => all(".chart[data-name]").forEach(start));

let waiting = false;
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; for (const chart of drawn) chart.draw(); });
}
document.addEventListener("runs-shown", redraw);
document.getElementById("smoothing")?.addEventListener("input", (event) => {
  options.smoothing = Number(event.target.value);
  document.getElementById("smoothed").textContent = options.smoothing.toFixed(2).replace(/\.?0+$/, "") || "0";
  redraw();
});
document.getElementById("log")?.addEventListener("change", (event) => {
  options.log = event.target.checked;
  for (const chart of drawn) chart.log = options.log;
  redraw();
});

const legend = document.getElementById("legend");
const withCurves = [...new Set(lines.map((line) => line.run))];
for (const run of legend && withCurves.length > 1 ? withCurves : []) {
  const line = lines.findIndex((one) => one.run === run);
  const name = lines[line].title;
  const button = make("button", { type: "button", "aria-pressed": "true", title: name }, sample(line), make("span", {}, make("bdi", {}, name)));
  button.addEventListener("click", () => showRuns([run], hiddenRuns.has(run)));
  document.addEventListener("runs-shown", () => button.setAttribute("aria-pressed", String(!hiddenRuns.has(run))));
  legend.append(button);
}
