"""The page itself, in gradio: lossless, nothing from another host, one computation at a time."""

import base64
import html
import io
import logging
import secrets
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio import processing_utils
from PIL import Image

from impasto.app.choices import Choice
from impasto.app.work import Work, do, mixed, shown, write_png
from impasto.data import sample_paths
from impasto.images import read_image, resize_longer_side, to_uint8

log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "camera.png")
_LONGEST_SHOWN = 1280  # pixels; the download has them all
_THUMBNAIL = 144  # pixels, twice what is shown
_HOUR = 3600  # seconds after which uploads and results are deleted
_SESSIONS = 8  # browser tabs whose last result is kept in memory; beyond, the one unused for longest is forgotten
_WAITING = 16  # requests at most that wait for the one that is being computed
_FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
_TITLE = "<h1>impasto</h1><p>Paint a photograph like a painting, colour a grey one, enlarge a small one.</p>"
_STRENGTH = (
    "How much of the network's result is mixed into the photograph: at 0 % you see the photograph "
    "(without its colours, where the network colours; plainly enlarged, where it enlarges), at 100 % the result."
)
_NO_PHOTOGRAPH = "<p>Choose a photograph; photographs and results are forgotten here after an hour.</p>"
_SHOW_STRENGTH = "(value) => document.querySelector('.stage').style.setProperty('--strength', value / 100)"
_CLICK_LINK = "() => document.querySelector('#link').click()"


class Limits(NamedTuple):
    """Of an upload.

    Attributes:
        megabytes: of the file.
        megapixels: of the photograph.
    """

    megabytes: float
    megapixels: float


class Page:
    """The page and what its events do. Photograph and result belong to the session, so that none sees another's.

    Args:
        choices: what can be done; the first is chosen when the page opens.
        limits: of an upload.
        folder: gradio's own, where files for the browser are written.
    """

    def __init__(self, choices: Sequence[Choice], *, limits: Limits, folder: Path) -> None:
        self.choices = {choice.name: choice for choice in choices}
        self.limits, self.folder = limits, folder
        self.busy = threading.Lock()  # held while a network runs
        self.samples = {path.stem: path for path in map(Path, sample_paths(_SAMPLES))}
        with gr.Blocks(title="impasto", analytics_enabled=False, delete_cache=(_HOUR // 6, _HOUR)) as self.blocks:
            self._lay_out()
            self._connect()
        self.blocks.queue(max_size=_WAITING)

    def _lay_out(self) -> None:
        self.source = gr.State(None, time_to_live=_HOUR)  # path of the photograph
        self.work = gr.State(None, time_to_live=_HOUR)
        gr.HTML(_TITLE, elem_id="title")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=300):
                self.drop = gr.File(label="Photograph", file_types=["image"], height=150, elem_id="photograph")
                self.examples = gr.HTML(
                    html_template=_examples(self.samples),
                    js_on_load=(_HERE / "examples.js").read_text(encoding="utf-8"),
                    elem_id="examples",
                )
                named = [(choice.label, name) for name, choice in self.choices.items()]
                self.choice = gr.Radio(named, value=named[0][1], label="What to do", elem_id="choice")
            with gr.Column(scale=7, min_width=320):
                self.compare = gr.HTML(
                    None,
                    html_template=(_HERE / "compare.html").read_text(encoding="utf-8"),
                    js_on_load=(_HERE / "compare.js").read_text(encoding="utf-8"),
                    elem_id="compare",
                )
                self.note = gr.HTML("", elem_id="note")
                self.strength = gr.Slider(
                    0, 100, 100, step=1, label="Strength, in percent", info=_STRENGTH, elem_id="strength"
                )
                self.download = gr.Button("Download the result (PNG)", variant="primary", interactive=False)
                self.link = gr.DownloadButton("", visible="hidden", elem_id="link")

    def _connect(self) -> None:
        common: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "work", "concurrency_limit": 1}
        result = [self.work, self.compare, self.note, self.download]
        common_result = common | {"trigger_mode": "always_last", "show_progress_on": self.compare}
        self.drop.upload(self._on_upload, [self.drop, self.choice], [self.drop, self.source, *result], **common_result)
        self.examples.choose(self._on_example, [self.choice], [self.source, *result], **common_result)
        self.choice.input(self._on_choice, [self.choice, self.source], result, **common_result)
        self.strength.change(None, self.strength, None, js=_SHOW_STRENGTH, api_visibility="private")
        saved = self.download.click(self._on_download, [self.work, self.strength], self.link, **common)
        saved.success(None, None, None, js=_CLICK_LINK, api_visibility="private")

    def _on_upload(self, path: str, name: str) -> dict[Any, Any]:
        work = self._do(Path(path), name)
        free_again = {self.drop: None}
        return free_again if work is None else free_again | {self.source: path} | self._show(work)

    def _on_example(self, name: str, event: gr.EventData) -> dict[Any, Any]:
        path = self.samples[event.name]
        work = self._do(path, name)
        return {self.source: gr.skip()} if work is None else {self.source: str(path)} | self._show(work)

    def _on_choice(self, name: str, source: str | None) -> dict[Any, Any]:
        if source is None:
            return self._show(None) | {self.note: _NO_PHOTOGRAPH}
        return self._show(self._do(Path(source), name))

    def _on_download(self, work: Work | None, strength: float) -> str:
        if work is None:
            raise gr.Error("the result was forgotten here; choose the photograph again", print_exception=False)
        return str(write_png(self._new_folder() / work.name, mixed(work, strength / 100)))

    def _do(self, path: Path, name: str) -> Work | None:
        """Do a choice; what prevents it is told on the page."""
        try:
            with self.busy:
                return do(path, self.choices[name], most_megapixels=self.limits.megapixels)
        except ValueError as error:
            told = str(error)
        except Exception:
            log.exception("unexpected, at a photograph of the page")
            told = f"{path.name} could not be done; the terminal of impasto app says why"
        gr.Warning(html.escape(told), duration=20)
        return None

    def _show(self, work: Work | None) -> dict[Any, Any]:
        if work is None:
            return {self.work: None, self.compare: None, self.note: "", self.download: gr.update(interactive=False)}
        folder = self._new_folder()
        height, width = work.base.shape[:2]
        value: dict[str, Any] = {"width": width, "height": height}
        for name, pixels in (("before", work.base), ("after", work.result)):
            path = write_png(folder / f"{name}.png", shown(pixels, _LONGEST_SHOWN))
            value[name] = gr.FileData(path=str(path)).model_dump()
        return {
            self.work: work,
            self.compare: value,
            self.note: _note(work),
            self.download: gr.update(interactive=True),
        }

    def _new_folder(self) -> Path:
        return self.folder / secrets.token_hex(16)


def _note(work: Work) -> str:
    """Name, size, and what the network said, a line each."""
    height, width = work.base.shape[:2]
    lines = [f"<p>{html.escape(work.name)}, {width} x {height} pixels</p>"]
    for remark in filter(None, work.remark.split("; ")):
        who = "The photograph" if remark.startswith("is ") else "The network sees:"
        lines.append(f'<p class="said">{who} {html.escape(remark.replace("_", " "))}.</p>')
    return "".join(lines)


def _examples(samples: Mapping[str, Path]) -> str:
    """A button a photograph, its picture inside the page."""
    buttons = []
    for name, path in samples.items():
        file = io.BytesIO()
        Image.fromarray(to_uint8(resize_longer_side(read_image(path), _THUMBNAIL))).save(file, "PNG")
        data = base64.b64encode(file.getvalue()).decode("ascii")
        picture = f'<img src="data:image/png;base64,{data}" alt="" />'
        buttons.append(f'<button type="button" data-name="{name}" aria-label="Example: {name}">{picture}</button>')
    return f'<p>or one of these</p><div class="shelf">{"".join(buttons)}</div>'


async def _refuse_address(*_: object, **__: object) -> str:
    raise gr.Error("expected an uploaded file, not an address", print_exception=False)


def close(page: Page) -> None:
    """End the server without waiting for the browsers that listen to it, each of which it would complain about."""
    logging.getLogger("uvicorn.error").disabled = True
    page.blocks.server.force_exit = True
    page.blocks.close(verbose=False)


def launch(page: Page, *, host: str, port: int) -> None:
    """Serve a page in the background, until `close`."""
    # A request may name a file by its address, which gradio would fetch from there.
    processing_utils.async_ssrf_protected_download = _refuse_address
    page.blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        inbrowser=False,
        quiet=True,
        prevent_thread_lock=True,
        max_file_size=int(page.limits.megabytes * 2**20),
        state_session_capacity=_SESSIONS,
        allowed_paths=[],
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        ssr_mode=False,
        pwa=False,
        num_workers=0,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        css_paths=_HERE / "page.css",
        theme=_theme(),
    )


def _theme() -> gr.themes.Base:
    """Fonts of the system, and greys and blues that can be read (WCAG AA)."""
    theme = gr.themes.Base(primary_hue="blue", neutral_hue="slate", font=_FONT, font_mono=["ui-monospace", "monospace"])
    return theme.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        checkbox_label_background_fill="*background_fill_primary",
        checkbox_label_background_fill_dark="*background_fill_primary",
        checkbox_label_background_fill_hover="*background_fill_secondary",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_background_fill_selected_dark="*primary_900",
        checkbox_label_border_width="1px",
        checkbox_label_border_color="*border_color_primary",
        checkbox_label_border_color_selected="*primary_500",
        checkbox_label_border_color_selected_dark="*primary_400",
        block_radius="10px",
        button_large_radius="10px",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
    )
