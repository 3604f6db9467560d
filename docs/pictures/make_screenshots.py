"""Draw the pictures of pages: python docs/pictures/make_screenshots.py [study] [report] [app] [trackio] [leet] [sweep].

`report` and `leet` show the run folders below `runs=<folder>`, `sweep` the sweep in it, `trackio` the store.
Chromium, Playwright and (for leet) tmux are needed; the photographs are scikit-image's (public domain or CC0).
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from browser import PHONE, Visit, browser
from PIL import Image
from rich.console import Console
from rich.text import Text
from served import served

from impasto.data import sample_paths

HERE = Path(__file__).parent
PHOTOGRAPHS = [str(path) for path in sample_paths(["chelsea.png", "astronaut.png", "coffee.png", "rocket.jpg"])]
WINDOW = {"width": 1180, "height": 760}
IMPASTO = [sys.executable, "-m", "impasto.cli"]


def main() -> None:
    """Draw what the command line names, or everything."""
    made = {"study": draw_study, "report": draw_report, "app": draw_app, "trackio": draw_trackio, "leet": draw_leet}
    made["sweep"] = draw_sweep
    words = dict(word.partition("=")[::2] for word in sys.argv[1:])
    runs = Path(words.pop("runs", "outputs")).resolve()
    for name in words or made:
        with tempfile.TemporaryDirectory() as folder:
            made[name](Path(folder), runs)


def _save(pictures: list[Path], name: str, *, height: int) -> None:
    """Put pictures side by side and write <name>.jpg beside this file."""
    images = [Image.open(path).convert("RGB") for path in pictures]
    images = [image.resize((round(image.width * height / image.height), height)) for image in images]
    canvas = Image.new("RGB", (sum(image.width + 12 for image in images) - 12, height), "white")
    left = 0
    for image in images:
        canvas.paste(image, (left, 0))
        left += image.width + 12
    canvas.save(HERE / f"{name}.jpg", quality=88, subsampling=0)


def _shot(visit: Visit, path: Path) -> Path:
    visit.page.screenshot(path=str(path))
    return path


def draw_study(folder: Path, _: Path) -> None:
    """Draw the raters' page: a picture and a pair, the latter on a phone as well."""
    shots = []
    methods = "methods={truth: photograph, colorizer: scenes}"
    for question, windows in (("natural", [WINDOW]), ("better", [WINDOW, PHONE])):
        study = folder / question
        words = [f"question={question}", "raters=2", "repeats=0", "catches=0", f"hydra.run.dir={study}"]
        subprocess.run([*IMPASTO, "study", "create", *PHOTOGRAPHS[:2], methods, *words], check=True, cwd=folder)
        with (study / "raters.csv").open(newline="") as file:
            token = next(csv.DictReader(file))["token"]
        with served(folder, "study", "serve", str(study)) as (address, _process):
            for window in windows:
                with browser(viewport=window) as visit:
                    visit.page.goto(f"{address}/r/{token}")
                    visit.page.get_by_role("button", name="Start").click()
                    visit.page.wait_for_timeout(1500)
                    shots.append(_shot(visit, folder / f"{len(shots)}.png"))
    _save(shots, "study_page", height=520)


def draw_report(folder: Path, runs: Path) -> None:
    """Draw the top of the report, from file:// with the network off."""
    page = folder / "report.html"
    subprocess.run([*IMPASTO, "report", str(runs), f"output={page}"], check=True, cwd=folder)
    with browser(offline=True, viewport={"width": 1180, "height": 1150}) as visit:
        visit.page.goto(page.as_uri())
        visit.page.wait_for_timeout(1000)
        _save([_shot(visit, folder / "report.png")], "report", height=1150)


def draw_sweep(folder: Path, runs: Path) -> None:
    """Draw the top of a sweep's page, the contact sheet sorted by the first objective, and its Pareto front."""
    with browser(offline=True, viewport={"width": 1180, "height": 1150}) as visit:
        visit.page.goto((runs / "sweep.html").as_uri())
        visit.page.wait_for_timeout(1000)
        _save([_shot(visit, folder / "sweep.png")], "sweep", height=1150)


def draw_app(folder: Path, _: Path) -> None:
    """Draw the page to try methods, with a photograph painted."""
    with served(folder, "app") as (address, _process), browser(viewport={"width": 1180, "height": 980}) as visit:
        visit.page.goto(address)
        visit.page.locator("input[type=file]").first.set_input_files(PHOTOGRAPHS[1])
        visit.page.get_by_text("The Starry Night").click()
        visit.page.get_by_text("astronaut_starry_night.png").first.wait_for(timeout=120_000)
        visit.page.wait_for_timeout(3000)
        _save([_shot(visit, folder / "app.png")], "app", height=800)


def draw_trackio(folder: Path, runs: Path) -> None:
    """Draw the browser dashboard of the store `runs=`, which logger=trackio has filled."""
    with (
        served(folder, "dashboard", f"store={runs}") as (address, _process),
        browser(viewport={"width": 1180, "height": 900}) as visit,
    ):
        visit.page.goto(f"{address}/?project=impasto")
        visit.page.wait_for_timeout(8000)
        _save([_shot(visit, folder / "trackio.png")], "trackio", height=900)


def draw_leet(folder: Path, runs: Path) -> None:
    """Draw `wandb leet` as a terminal shows it."""
    newest = max(runs.rglob("wandb/offline-run-*"), key=lambda path: path.stat().st_mtime).parent
    tmux = ["tmux", "-L", "impasto"]
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    leet = f"{Path(sys.executable).parent / 'wandb'} leet {newest}"
    subprocess.run([*tmux, "new-session", "-d", "-x", "170", "-y", "44", leet], check=True, env=environment)
    try:
        time.sleep(12)
        screen = subprocess.run([*tmux, "capture-pane", "-e", "-p"], check=True, capture_output=True, text=True).stdout
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
    console = Console(record=True, width=170, file=(folder / "screen.txt").open("w"))
    console.print(Text.from_ansi(screen))
    (folder / "leet.svg").write_text(console.export_svg(title=f"wandb leet {newest.relative_to(runs.parent)}"))
    with browser(viewport={"width": 1400, "height": 780}) as visit:
        visit.page.goto((folder / "leet.svg").as_uri())
        visit.page.wait_for_timeout(500)
        _save([_shot(visit, folder / "leet.png")], "leet", height=780)


if __name__ == "__main__":
    main()
