// `element`, `props` and `watch` are gradio's: the component, its value, and a call for each new value.
const stage = element.querySelector(".stage");
const divider = element.querySelector("input");
divider.addEventListener("input", () => stage.style.setProperty("--cut", divider.value + "%"));

function show() {
  const value = props.value;
  stage.hidden = !value;
  element.querySelector(".empty").hidden = Boolean(value);
  if (!value) return;
  stage.style.setProperty("--width", value.width);
  stage.style.setProperty("--height", value.height);
  element.querySelector(".before").src = value.before.url;
  element.querySelector(".after").src = value.after.url;
  if (stage.getBoundingClientRect().top > window.innerHeight * 0.8) {
    stage.scrollIntoView({ behavior: "smooth", block: "start" }); // on a phone it stands below the choices
  }
}
watch("value", show);

// A photograph from the clipboard takes the way of a chosen file.
document.addEventListener("paste", (event) => {
  const input = document.querySelector("#photograph input[type=file]");
  if (!input || !event.clipboardData.files.length) return;
  input.files = event.clipboardData.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
