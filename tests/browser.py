"""A real browser for tests: Debian's Chromium, driven by Playwright; what needs it is skipped where it is missing."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


class Visit:
    """A page, and what went wrong on it.

    Attributes:
        page: Playwright's.
        errors: console errors, exceptions of scripts, and requests that failed.
        requests: addresses that were asked for.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("requestfailed", lambda request: self.errors.append(f"{request.url}: {request.failure}"))
        page.on("request", lambda request: self.requests.append(request.url))


@contextmanager
def browser(*, offline: bool = False, viewport: dict[str, int] | None = None, touch: bool = False) -> Iterator[Visit]:
    """Open a page in a fresh browser; skips the test where there is none."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install -e '.[dev]'")
    with playwright.sync_playwright() as engine:
        running = engine.chromium.launch(executable_path=executable, args=FLAGS)
        try:
            context = running.new_context(viewport=viewport or DESKTOP, offline=offline, has_touch=touch)
            yield Visit(context.new_page())
        finally:
            running.close()


def screenshot(visit: Visit, path: Path) -> Path:
    """Take a picture of the whole page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    visit.page.screenshot(path=str(path), full_page=True)
    return path
