// `element` and `trigger` are gradio's. A tile is painted in alone; its + mixes it with those that are chosen.
const tiles = [...element.querySelectorAll(".tile")];
const weight = (tile) => tile.querySelector("input");

function choose(chosen) {
  for (const tile of tiles) {
    const is = chosen.includes(tile);
    if (!is) weight(tile).value = 50;
    tile.classList.toggle("chosen", is);
    tile.querySelector(".alone").setAttribute("aria-pressed", is);
    const add = tile.querySelector(".add");
    add.textContent = is && chosen.length > 1 ? "−" : "+";
    add.setAttribute("aria-label", `${is ? "Leave out" : "Mix in"} ${tile.dataset.title}`);
  }
  element.querySelector(".shelf").classList.toggle("mixed", chosen.length > 1);
  trigger("choose", { mix: Object.fromEntries(chosen.map((tile) => [tile.dataset.name, Number(weight(tile).value)])) });
}

const chosen = () => tiles.filter((tile) => tile.classList.contains("chosen"));
for (const tile of tiles) {
  tile.querySelector(".alone").addEventListener("click", () => choose([tile]));
  tile.querySelector(".add").addEventListener("click", () => {
    const others = chosen().filter((other) => other !== tile);
    choose(others.length < chosen().length && others.length ? others : [...others, tile]);
  });
  weight(tile).addEventListener("change", () => choose(chosen()));
}
