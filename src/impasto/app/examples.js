// `element` and `trigger` are gradio's.
for (const button of element.querySelectorAll("button")) {
  button.addEventListener("click", () => trigger("choose", { name: button.dataset.name }));
}
