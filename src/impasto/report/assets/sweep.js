/* The contact sheet: its order and its larger view; names of the points in the plots; commands to copy. */
const sheet = document.querySelector("#sheet tbody");
const order = document.getElementById("order"), turn = document.getElementById("turn");
fillSame(document);

/* The table of trials has all keys: the sheet is sorted by its columns. */
function arrange() {
  const column = all("#table .sortable")[Number(order.value)].cellIndex;
  const best = Boolean(order.selectedOptions[0].dataset.down), reversed = turn.getAttribute("aria-pressed") === "true";
  const told = new Map(all("tr", body).map((row) => [row.dataset.trial, row]));
  sheet.append(...inOrder(all("tr", sheet), (row) => sortKey(told.get(row.dataset.trial), column), best !== reversed));
}
order?.addEventListener("change", () => { turn.setAttribute("aria-pressed", "false"); arrange(); });
turn?.addEventListener("click", () => { turn.setAttribute("aria-pressed", String(turn.getAttribute("aria-pressed") !== "true")); arrange(); });

const view = document.getElementById("view"), beside = document.getElementById("beside"), large = document.getElementById("large");
const steps = { previous: -1, next: 1 };
let opened;
const enlarged = (image, look) => {
  const copy = image.cloneNode();
  copy.removeAttribute("id");
  copy.loading = "eager";
  copy.className = look;
  return copy;
};
const siblings = () => all(".open", sheet).filter((button) => button.parentNode.cellIndex === opened.parentNode.cellIndex);
function enlarge(button) {
  opened = button;
  const row = button.closest("tr"), header = document.querySelector("#sheet thead tr").children[button.parentNode.cellIndex];
  const original = header.querySelector("img"), image = button.querySelector("img");
  const frame = make("div", { class: "frame" }), path = make("small", { class: "path" }, `${image.dataset.path}, ${image.dataset.full} pixels`);
  if (original) frame.append(enlarged(original, "before"));
  frame.append(enlarged(image, "after"));
  const figure = make("figure", { class: "compare" }, frame, make("figcaption", {}, make("strong", {}, header.querySelector(".path").textContent), path));
  large.replaceChildren(figure);
  beside.hidden = !original;
  if (original && beside.getAttribute("aria-pressed") !== "true") makeLive(figure);
  document.getElementById("view-title").textContent = row.querySelector(".trial strong").textContent;
  document.getElementById("told").replaceChildren(...all(".pairs", row).map((pairs) => pairs.cloneNode(true)));
  const place = siblings().indexOf(button);
  for (const [name, step] of Object.entries(steps)) document.getElementById(name).disabled = !siblings()[place + step];
  if (!view.open) view.showModal();
}
for (const [name, step] of Object.entries(steps)) document.getElementById(name).addEventListener("click", () => enlarge(siblings()[siblings().indexOf(opened) + step]));
beside.setAttribute("aria-pressed", String(innerWidth > 700));
beside.addEventListener("click", () => { beside.setAttribute("aria-pressed", String(beside.getAttribute("aria-pressed") !== "true")); enlarge(opened); });
sheet?.addEventListener("click", (event) => { const button = event.target.closest(".open"); if (button) enlarge(button); });
view.addEventListener("click", (event) => { if (event.target === view) view.close(); });
view.addEventListener("close", () => opened.focus());
document.getElementById("close").addEventListener("click", () => view.close());

/* A point of a plot names its trial while it is pointed at or focused; arrow keys go to the next one. */
for (const drawing of all(".drawing")) {
  const tip = make("div", { class: "tip" });
  tip.hidden = true;
  drawing.append(tip);
  const points = all("a", drawing).sort((a, b) => a.firstChild.cx.baseVal.value - b.firstChild.cx.baseVal.value);
  points.forEach((point, index) => point.setAttribute("tabindex", index ? "-1" : "0"));
  const name = (point) => {
    const row = document.getElementById(`trial-${point.dataset.trial}`);
    const told = all(".pairs div", row).slice(0, 12).map((pair) => make("div", {}, make("span", {}, make("bdi", {}, pair.children[0].textContent)), make("b", {}, pair.children[1].textContent.slice(0, 30))));
    tip.replaceChildren(`trial ${point.dataset.trial}, ${row.querySelector(".chip").textContent}`, ...told);
    tip.hidden = false;
    const box = drawing.getBoundingClientRect(), at = point.getBoundingClientRect();
    const [x, y] = [at.x - box.x + at.width / 2, at.y - box.y];
    tip.style.left = `${Math.max(0, x < box.width / 2 ? x + 14 : x - tip.offsetWidth - 14)}px`;
    tip.style.top = `${Math.max(0, Math.min(box.height - tip.offsetHeight, y - tip.offsetHeight / 2))}px`;
  };
  const leave = () => { tip.hidden = true; };
  for (const kind of ["pointerover", "focusin"]) drawing.addEventListener(kind, (event) => { const point = event.target.closest("a"); if (point) name(point); });
  for (const kind of ["pointerout", "focusout"]) drawing.addEventListener(kind, leave);
  drawing.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { leave(); return; }
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key], from = points.indexOf(document.activeElement);
    if (!step || from < 0) return;
    event.preventDefault();
    points[Math.max(0, Math.min(points.length - 1, from + step))].focus();
  });
}

for (const button of all(".copy")) button.addEventListener("click", async () => {
  const code = button.previousElementSibling;
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});
