/* Photograph and result in one frame: a range input over it moves the border; a list chooses the step. */
function makeLive(figure) {
  figure.classList.add("live");
  const frame = figure.querySelector(".frame");
  const before = frame.querySelector(".before"), after = all(".after", frame);
  const caption = figure.querySelector("figcaption"), path = caption.querySelector(".path");
  const right = make("span", { class: "tag right" }, after[0].dataset.label);
  frame.append(right);
  const show = (index) => {
    after.forEach((image, other) => { image.hidden = other !== index; });
    right.textContent = after[index].dataset.label;
    path.textContent = `${after[index].dataset.path}, ${after[index].dataset.full} pixels` + (before ? `; photograph: ${before.dataset.path}` : "");
  };
  if (after.length > 1) {
    const choice = make("select", { "aria-label": `Step, ${caption.firstChild.textContent}` });
    after.forEach((image, index) => choice.append(make("option", { value: index }, image.dataset.label)));
    choice.addEventListener("change", () => show(Number(choice.value)));
    path.before(choice);
  }
  show(0);
  if (!before) return;
  const slide = make("input", { type: "range", class: "slide", min: 0, max: 100, step: 1, value: 50, "aria-label": `How much of the photograph is seen, ${caption.firstChild.textContent}` });
  const move = () => {
    frame.style.setProperty("--x", `${slide.value}%`);
    slide.setAttribute("aria-valuetext", `${slide.value} % photograph`);
  };
  slide.addEventListener("input", move);
  frame.append(make("span", { class: "handle" }), make("span", { class: "tag left" }, "photograph"), slide);
  move();
}

function fillSame(within) {
  for (const image of all("img[data-same]", within)) {
    const first = document.getElementById(image.dataset.same);
    image.removeAttribute("data-same");
    if (first) image.src = first.src;
  }
}

for (const run of all("details.run")) {
  const fill = () => {
    if (!run.open || run.dataset.live) return;
    run.dataset.live = "yes";
    fillSame(run);
    all(".compare", run).forEach(makeLive);
  };
  run.addEventListener("toggle", fill);
  fill();
}
