"""Print how long 50 large run folders take to become a page, and how long a browser takes to open it, network off.

python docs/measure/report_page.py [<folder to keep the page in>]
"""

import csv
import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from impasto.report.page import write_report

RUNS, METRICS, ROWS, PHOTOGRAPHS, STEPS, SIDE = 50, 20, 5_000, 8, 6, 320
CONFIG = """name: synthetic
seed: {run}
folder: {folder}
system: {{optimizer: {{lr: {lr}, betas: [0.9, 0.999]}}, channels_last: true}}
data: {{batch_size: {batch}, root: data/photographs}}
"""
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@cache
def pattern(seed: int) -> np.ndarray:
    """Something with as much detail as a photograph: noise that is stronger the coarser it is."""
    rng = np.random.default_rng(seed)
    noise = np.zeros((SIDE * 2 // 3, SIDE, 3))
    for scale in (1, 2, 4, 8, 16, 32, 64):
        small = rng.normal(size=(noise.shape[0] // scale + 2, noise.shape[1] // scale + 2, 3))
        layer = small.repeat(scale, 0).repeat(scale, 1)[: noise.shape[0], : noise.shape[1]]
        noise += layer * scale**0.8
    return np.uint8(np.clip(128 + 1.5 * noise, 0, 255))


def save_picture(path: Path, seed: int) -> None:
    """Write a picture that no other seed has."""
    pixels = np.roll(pattern(seed % 16), (seed // 16 % 64, seed // 1024), axis=(0, 1))
    Image.fromarray(pixels).save(path, compress_level=1)


def build(folder: Path, run: int) -> None:
    """Write one run folder."""
    rng = np.random.default_rng(run)
    (folder / "samples/photographs").mkdir(parents=True)
    status = {"status": "finished", "started": f"2026-11-23T{run % 24:02d}:00:00+0000", "pid": 1, "seconds": 60.0 * run}
    (folder / "status.json").write_text(json.dumps(status))
    text = CONFIG.format(run=run, folder=folder, lr=10.0 ** -(run % 4), batch=2 ** (run % 5))
    (folder / "config.yaml").write_text(text)
    environment = {
        "command": ["impasto", "--config-name", "train"],
        "folder": str(folder),
        "packages": {"torch": "2.15.0"},
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    groups = ["train"] * 12 + ["val"] * 8
    names = [f"{group}/{name}" for group, name in zip(groups, ["loss", *(f"term_{i}" for i in range(19))], strict=True)]
    values = np.exp(-np.arange(ROWS)[:, None] / 900) * rng.uniform(1, 5, METRICS) + rng.normal(0, 0.05, (ROWS, METRICS))
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *names])
        writer.writerows([step * 10, *map(repr, row)] for step, row in enumerate(values.tolist()))
    for photograph in range(PHOTOGRAPHS):  # the same in all runs, as in a sweep
        save_picture(folder / f"samples/photographs/photograph_{photograph}.png", photograph)
        for step in range(1, STEPS + 1):
            path = folder / f"samples/step_{step * 1000:06d}/photograph_{photograph}.png"
            path.parent.mkdir(exist_ok=True)
            save_picture(path, 16 + (run * STEPS + step) * PHOTOGRAPHS + photograph)


def with_peak(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what the work returns, and by how many megabytes the process grew at most."""
    process, done = psutil.Process(), threading.Event()
    first = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        return work(), (peak - first) / 1e6
    finally:
        done.set()
        thread.join()


def opened(browser: Browser, page: Path) -> tuple[dict[str, float], list[str]]:
    """Open the page once in a fresh context; return milliseconds since the navigation began, and console errors."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    tab = context.new_page()
    errors: list[str] = []
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("requestfailed", lambda request: errors.append(request.url[:100]))
    tab.add_init_script(
        "new MutationObserver((_, watcher) => {"
        " if (!document.querySelector('.plot svg path')) return;"
        " watcher.disconnect();"
        " requestAnimationFrame(() => setTimeout(() => { window.firstCurve = performance.now(); }));"
        " }).observe(document, { childList: true, subtree: true });"
    )
    tab.goto(page.as_uri())
    while not tab.evaluate("window.firstCurve && performance.getEntriesByName('first-contentful-paint').length"):
        tab.wait_for_timeout(20)
    times: dict[str, float] = tab.evaluate(
        "(() => { const n = performance.getEntriesByType('navigation')[0]; return {"
        " DOMContentLoaded: n.domContentLoadedEventEnd, load: n.loadEventEnd,"
        " 'first contentful paint': performance.getEntriesByName('first-contentful-paint')[0].startTime,"
        " 'first curve': window.firstCurve } })()"
    )
    context.close()
    return times, errors


def main() -> None:
    """Build, write, open five times, print."""
    with tempfile.TemporaryDirectory() as temporary:
        outputs = Path(temporary) / "outputs"
        for run in range(RUNS):
            build(outputs / f"{run:02d}_synthetic", run)
        page = Path(sys.argv[1] if len(sys.argv) > 1 else temporary).resolve() / "report.html"
        begin = time.perf_counter()
        runs, megabytes = with_peak(lambda: write_report([str(outputs)], page))
        seconds = time.perf_counter() - begin
        sys.stdout.write(f"{page}: {len(runs)} runs, {page.stat().st_size / 1e6:.1f} MB\n")
        sys.stdout.write(f"made in {seconds:.1f} s, the process grew by {megabytes:.0f} MB\n")
        with sync_playwright() as engine:
            browser = engine.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            found = [opened(browser, page) for _ in range(5)]
            browser.close()
    for name in found[0][0]:
        values = [times[name] for times, _ in found]
        sys.stdout.write(f"{name}: {statistics.median(values):.0f} ms ({min(values):.0f} to {max(values):.0f})\n")
    sys.stdout.write(f"console errors and failed requests: {sum(len(errors) for _, errors in found)}\n")


if __name__ == "__main__":
    main()
