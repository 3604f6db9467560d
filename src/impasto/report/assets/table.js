"use strict";
/* The table of runs: sort, filter, choose whose curves are shown; links open the details of a run. */
const scripted = document.documentElement;
scripted.classList.add("scripted");
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
const hiddenRuns = new Set();
const body = document.querySelector("#table tbody");

function sortKey(row, column) {
  const cell = row.children[column];
  return cell.dataset.sort ?? cell.textContent.trim();
}

function compareKeys(a, b) {
  const [x, y] = [Number(a), Number(b)];
  if (a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  return a.localeCompare(b, "en", { numeric: true });
}

/* Rows by their keys; those without one stay behind, up or down. */
function inOrder(rows, key, down) {
  const blank = (text) => text === "" || text === "nan";
  const keyed = rows.map((row) => [key(row), row]);
  keyed.sort(([a], [b]) => blank(a) - blank(b) || (down ? -1 : 1) * compareKeys(a, b));
  return keyed.map(([, row]) => row);
}

function sortBy(header) {
  const column = [...header.parentNode.children].indexOf(header);
  const down = header.getAttribute("aria-sort") === "ascending";
  for (const other of header.parentNode.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...inOrder(all("tr", body), (row) => sortKey(row, column), down));
}

for (const header of all("#table .sortable")) {
  const button = make("button", { type: "button" }, header.textContent.trim());
  button.addEventListener("click", () => sortBy(header));
  header.replaceChildren(button);
  header.classList.add("ready");
}

const filter = document.getElementById("filter");
filter?.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of all("tr", body)) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    document.querySelector(`details.run[data-run="${row.dataset.run}"]`).hidden = row.hidden;
    shown += !row.hidden;
  }
  document.getElementById("filtered").textContent = words.length ? `${shown} of ${body.rows.length}` : "";
});

/* Show or hide the curves of some runs; everything that shows them is told. */
function showRuns(numbers, shown) {
  for (const number of numbers) shown ? hiddenRuns.delete(number) : hiddenRuns.add(number);
  for (const box of all("[data-shows]")) box.checked = !hiddenRuns.has(Number(box.dataset.shows));
  const boxes = all("[data-shows]"), whole = document.getElementById("all");
  if (whole) {
    whole.checked = boxes.every((box) => box.checked);
    whole.indeterminate = !whole.checked && boxes.some((box) => box.checked);
  }
  document.dispatchEvent(new Event("runs-shown"));
}
for (const box of all("[data-shows]")) box.addEventListener("change", () => showRuns([Number(box.dataset.shows)], box.checked));
document.getElementById("all")?.addEventListener("change", (event) => {
  const boxes = all("[data-shows]").filter((box) => !box.closest("tr").hidden);
  showRuns(boxes.map((box) => Number(box.dataset.shows)), event.target.checked);
});

function openTarget() {
  const target = /^#run-\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
  if (!target) return;
  target.parentNode.hidden = false;
  target.parentNode.open = true;
  target.scrollIntoView();
  target.focus({ preventScroll: true });
}
addEventListener("hashchange", openTarget);
for (const link of all('a[href^="#run-"]')) link.addEventListener("click", () => setTimeout(openTarget));
openTarget();
