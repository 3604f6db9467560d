/* The larger view of a picture beside its photograph, from trial to trial; commands to copy. */
const view = document.getElementById("view"), large = document.getElementById("large");
const steps = { previous: -1, next: 1 };
let opened;
const siblings = () => all(".open", body).filter((button) => button.parentNode.cellIndex === opened.parentNode.cellIndex);
function enlarge(button) {
  opened = button;
  const original = document.querySelector("#table thead tr").children[button.parentNode.cellIndex].querySelector("img");
  const image = button.querySelector("img");
  large.replaceChildren(original.cloneNode(), image.cloneNode());
  document.getElementById("view-title").textContent = image.alt;
  const place = siblings().indexOf(button);
  for (const [name, step] of Object.entries(steps)) document.getElementById(name).disabled = !siblings()[place + step];
  if (!view.open) view.showModal();
}
for (const [name, step] of Object.entries(steps)) document.getElementById(name).addEventListener("click", () => enlarge(siblings()[siblings().indexOf(opened) + step]));
body?.addEventListener("click", (event) => { const button = event.target.closest(".open"); if (button) enlarge(button); });
view.addEventListener("click", (event) => { if (event.target === view) view.close(); });
view.addEventListener("close", () => opened.focus());
document.getElementById("close").addEventListener("click", () => view.close());

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
