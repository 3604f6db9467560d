"""The page itself, in gradio: lossless, nothing from another host, one computation at a time."""

import base64
import html
import io
import logging
import secrets
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from impasto.app.work import Choice, Work, do, painting, write_png
from impasto.color import Colours
from impasto.data import sample_paths
from impasto.methods import describe_scenes
from impasto.trained import shipped_styles

log = logging.getLogger(__name__)

Mix = Mapping[str, float]  # weights by style

_HERE = Path(__file__).parent
_SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "camera.png")
_LONGEST_SHOWN = 1280  # pixels; the download has them all
_THUMBNAIL = 144  # pixels of an example, twice what is shown
_HOUR = 3600  # seconds after which uploads and results are deleted
_SESSIONS = 8  # browser tabs whose last result is kept in memory; beyond, the one unused for longest is forgotten
_WAITING = 16  # requests at most that wait for the one that is being computed
_FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
_TITLE = "<h1>impasto</h1><p>Paint a photograph like a painting, colour a grey one, enlarge a small one.</p>"
_COLOURS = {
    "painting": "The painting's",
    "original": "The photograph's",
    "luminance": "The photograph's, painted in grey",
    "match": "The painting's, matched",
}
_NO_PHOTOGRAPH = "<p>Choose a photograph; photographs and results are forgotten here after an hour.</p>"
_SHOW_STRENGTH = "(value) => document.querySelector('.stage').style.setProperty('--strength', value / 100)"
_CLICK_LINK = "() => document.querySelector('#link').click()"


class Page:
    """The page and what its events do. Photograph and result belong to the session, so that none sees another's."""

    def __init__(
        self,
        choices: Sequence[Choice],  # what can be done besides painting in the shipped styles
        colours: Mapping[str, Colours],  # whose a painting may have; the first is chosen when the page opens
        *,
        device: str,  # where a mix of styles is painted
        most_megapixels: float,  # of an uploaded photograph
        folder: Path,  # gradio's own, where files for the browser are written
        busy: threading.Lock,  # held while a network runs
    ) -> None:
        self.choices, self.colours = {choice.name: choice for choice in choices}, colours
        self.device, self.most_megapixels, self.folder, self.busy = device, most_megapixels, folder, busy
        self.samples = {path.stem: path for path in map(Path, sample_paths(_SAMPLES))}
        self.styles = shipped_styles()
        with gr.Blocks(title="impasto", analytics_enabled=False, delete_cache=(_HOUR // 6, _HOUR)) as self.blocks:
            self._lay_out()
            self._connect()
        self.blocks.queue(max_size=_WAITING)

    def _lay_out(self) -> None:
        self.source = gr.State(None, time_to_live=_HOUR)  # path of the photograph
        self.work = gr.State(None, time_to_live=_HOUR)
        self.mix = gr.State({next(iter(self.styles)): 1})
        gr.HTML(_TITLE, elem_id="title")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=300):
                self.drop = gr.File(label="Photograph", file_types=["image"], height=150, elem_id="photograph")
                self.examples = _html("examples", samples={name: _thumbnail(p) for name, p in self.samples.items()})
                named = [("Paint", "paint"), *((choice.label, name) for name, choice in self.choices.items())]
                self.choice = gr.Radio(named, value="paint", label="What to do", elem_id="choice")
                pictures = {name: _thumbnail(_HERE / "styles" / f"{name}.jpg") for name in self.styles}
                self.tiles = _html("styles", styles=self.styles, pictures=pictures)
                colours = [(_COLOURS.get(name, name), name) for name in self.colours]
                self.colour = gr.Radio(colours, value=colours[0][1], label="Colours", elem_id="colours")
            with gr.Column(scale=7, min_width=320, elem_id="result"):
                self.compare = _html("compare")
                self.note = gr.HTML("", elem_id="note")
                self.strength = gr.Slider(0, 100, 100, step=1, label="Strength, in percent", elem_id="strength")
                self.download = gr.Button("Download the result (PNG)", variant="primary", interactive=False)
                self.link = gr.DownloadButton("", visible="hidden", elem_id="link")

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"api_visibility": "private"}
        common = quiet | {"concurrency_id": "work", "concurrency_limit": 1}
        result = [self.work, self.compare, self.note, self.download]
        computed = common | {"trigger_mode": "always_last", "show_progress_on": self.compare}
        wanted = [self.choice, self.mix, self.colour]
        self.drop.upload(self._on_upload, [self.drop, *wanted], [self.drop, self.source, *result], **computed)
        self.examples.choose(self._on_example, wanted, [self.source, *result], **computed)
        for chosen in (self.choice, self.colour):
            chosen.input(self._on_choice, [self.source, *wanted], [self.tiles, self.colour, *result], **computed)
        self.tiles.choose(self._on_styles, [self.source, self.colour], [self.mix, *result], **computed)
        self.strength.change(None, self.strength, None, js=_SHOW_STRENGTH, **quiet)
        saved = self.download.click(self._on_download, [self.work, self.strength], self.link, **common)
        saved.success(None, None, None, js=_CLICK_LINK, **quiet)

    def _on_upload(self, path: str, name: str, mix: Mix, colour: str) -> dict[Any, Any]:
        return {self.drop: None} | self._take(path, name, mix, colour)  # free again

    def _on_example(self, name: str, mix: Mix, colour: str, event: gr.EventData) -> dict[Any, Any]:
        return self._take(str(self.samples[event.name]), name, mix, colour)

    def _take(self, path: str, name: str, mix: Mix, colour: str) -> dict[Any, Any]:
        """Do the choice to another photograph, which only then takes the place of the one before."""
        work = self._do(path, name, mix, colour)
        return {self.source: gr.skip()} if work is None else {self.source: path} | self._show(work)

    def _on_choice(self, source: str | None, name: str, mix: Mix, colour: str) -> dict[Any, Any]:
        paints = name == "paint" or self.choices[name].paints
        seen: dict[Any, Any] = {self.tiles: gr.update(visible=name == "paint" or "hidden")}
        seen[self.colour] = gr.update(visible=paints or "hidden")
        return seen | self._show(self._do(source, name, mix, colour))

    def _on_styles(self, source: str | None, colour: str, event: gr.EventData) -> dict[Any, Any]:
        mix = {name: float(event.mix[name]) for name in self.styles if name in event.mix}
        return {self.mix: mix} | self._show(self._do(source, "paint", mix, colour))

    def _on_download(self, work: Work | None, strength: float) -> str:
        if work is None:
            raise gr.Error("the result was forgotten here; choose the photograph again", print_exception=False)
        return str(write_png(self._new_folder() / work.name, work.mixed(strength / 100)))

    def _do(self, source: str | None, name: str, mix: Mix, colour: str) -> Work | None:
        """Do a choice, one at a time; None without a photograph, and where something prevents it, which is shown."""
        if source is None:
            return None
        try:
            with self.busy:
                choice = painting(mix, device=self.device) if name == "paint" else self.choices[name]
                return do(Path(source), choice, self.colours[colour], most_megapixels=self.most_megapixels)
        except ValueError as error:
            reason = str(error)
        except Exception:
            log.exception("unexpected, at a photograph of the page")
            reason = "the photograph could not be done; the terminal of impasto app says why"
        gr.Warning(html.escape(reason), duration=20)
        return None

    def _show(self, work: Work | None) -> dict[Any, Any]:
        download = {self.work: work, self.download: gr.update(interactive=work is not None)}
        if work is None:
            return download | {self.compare: None, self.note: _NO_PHOTOGRAPH}
        folder = self._new_folder()
        height, width = work.base.shape[:2]
        value: dict[str, Any] = {"width": width, "height": height}
        for name, pixels in (("before", work.base), ("after", work.result)):
            path = write_png(folder / f"{name}.png", pixels, longest=_LONGEST_SHOWN)
            value[name] = gr.FileData(path=str(path)).model_dump()
        note = f"<p>{html.escape(work.name)}, {width} x {height} pixels</p>"
        if work.seen.lost_colours:
            note += '<p class="said">The photograph is in colour: only its lightness was used.</p>'
        if work.seen.scenes:
            scenes = html.escape(describe_scenes(work.seen.scenes).replace("_", " "))
            note += f'<p class="said">The network sees: {scenes}.</p>'
        return download | {self.compare: value, self.note: note}

    def _new_folder(self) -> Path:
        return self.folder / secrets.token_hex(16)


def _html(name: str, **values: object) -> gr.HTML:
    """A component of our own, made of `<name>.html` and `<name>.js`."""
    files = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    script = (_HERE / f"{name}.js").read_text(encoding="utf-8")
    markup = files.get_template(f"{name}.html").render(**values)
    return gr.HTML(None, html_template=markup, js_on_load=script, elem_id=name)


def _thumbnail(path: Path) -> str:
    """The address of a small copy that is itself the picture."""
    with Image.open(path) as image:
        image.thumbnail((_THUMBNAIL, _THUMBNAIL))
        file = io.BytesIO()
        image.save(file, "WEBP", quality=90)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


async def _refuse_address(*_: object, **__: object) -> str:
    raise gr.Error("expected an uploaded file, not an address", print_exception=False)


def close(page: Page) -> None:
    """End the server without waiting for the browsers that listen to it, each of which it would complain about."""
    logging.getLogger("uvicorn.error").disabled = True
    page.blocks.server.force_exit = True
    page.blocks.close(verbose=False)


def launch(page: Page, *, host: str, port: int, most_megabytes: float) -> None:
    """Serve a page in the background, until `close`."""
    # A request may name a file by its address, which gradio would fetch from there.
    processing_utils.async_ssrf_protected_download = _refuse_address
    page.blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        max_file_size=int(most_megabytes * 2**20),
        state_session_capacity=_SESSIONS,
        footer_links=[],
        run_history=False,
        mcp_server=False,
        ssr_mode=False,
        num_workers=0,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        css_paths=_HERE / "page.css",
        theme=gr.themes.Base(primary_hue="blue", neutral_hue="slate", font=_FONT, font_mono=["ui-monospace"]),
    )
