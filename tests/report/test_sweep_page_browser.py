"""The page of a sweep in a real browser: from file://, with the network off."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import PHONE, Visit, browser
from made_runs import HOSTILE, make_samples

from impasto.report.sweep_page import write_sweep_page
from impasto.report.sweep_shown import SweepShown, TrialShown

STATES = ("finished", "finished", "pruned", "failed", "finished")
STYLE = (0.5, 0.25, 0.75, None, math.nan)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five trials of two objectives, with hostile names."""
    folder = tmp_path_factory.mktemp("sweep")
    trials, long = [], "parameters." + "a_long_name_" * 6
    for number, (state, style) in enumerate(zip(STATES, STYLE, strict=True)):
        if state != "failed":
            make_samples(folder / str(number), photographs=2, steps=2, seed=number)
        values = None if style is None else {"val/style": style, "val/content": 1.0 - style}
        parameters: dict[str, float | int | str] = {"loss.weights.style": 10.0 ** (3 - number), long: HOSTILE[number]}
        best = state == "finished" and style in (0.25, 0.5)
        trials.append(
            TrialShown(number, state, parameters, values, 9.0 - number, HOSTILE[0], folder / str(number), best)
        )
    curves = {number: [(step, 1.0 / (step + number)) for step in range(1, 9 - number)] for number in range(5)}
    names = {"val/style": "minimize", "val/content": "minimize"}
    sweep = SweepShown(HOSTILE[0], names, trials, 9, {"val/style": {long: 0.6}}, curves, 1, "impasto train x", "", {})
    write_sweep_page(sweep, folder / "sweep.html")
    return folder / "sweep.html"


@contextmanager
def _opened(path: Path, **options: Any) -> Iterator[Visit]:
    with browser(offline=True, **options) as visit:
        visit.page.on("dialog", lambda dialog: (visit.errors.append(f"dialog {dialog.message}"), dialog.dismiss()))
        visit.page.emulate_media(reduced_motion="reduce")
        visit.page.goto(path.as_uri())
        yield visit
        assert visit.errors == []
        assert [request for request in visit.requests if not request.startswith("data:")] == [path.as_uri()]


def _order(visit: Visit) -> list[str]:
    return [str(text).split()[1] for text in visit.page.locator("#sheet tbody .trial strong").all_inner_texts()]


def _until(visit: Visit, expression: str) -> None:
    end = time.monotonic() + 20
    while not visit.page.evaluate(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.02)


def test_the_sheet_is_sorted_enlarged_and_its_commands_are_copied(page: Path) -> None:
    with _opened(page) as visit:
        assert _order(visit) == ["1", "0", "2", "3", "4"]
        visit.page.select_option("#order", label="loss.weights.style")
        assert _order(visit) == ["4", "3", "2", "1", "0"]
        visit.page.click("#turn")
        assert _order(visit) == ["0", "1", "2", "3", "4"]
        visit.page.select_option("#order", label="val/style")
        visit.page.click("#turn")
        assert _order(visit)[:3] == ["2", "0", "1"] and _order(visit)[-2:] in (["3", "4"], ["4", "3"])
        visit.page.locator("#sheet tbody .open").nth(2).click()
        dialog = visit.page.locator("#view[open]")
        assert dialog.locator("h2").inner_text() == "trial 0" and "val/style" in dialog.inner_text()
        _until(visit, "[...document.querySelectorAll('#large img')].every((image) => image.naturalWidth > 0)")
        before, after = (dialog.locator(f"img.{name}").bounding_box() for name in ("before", "after"))
        assert before["x"] + before["width"] <= after["x"]  # side by side
        visit.page.click("#beside")
        assert dialog.locator("input.slide").count() == 1
        visit.page.click("#next")
        assert dialog.locator("h2").inner_text() == "trial 1"
        visit.page.keyboard.press("Escape")
        assert visit.page.evaluate("document.activeElement.className") == "open"
        visit.page.click(".copy")
        _until(visit, "document.querySelector('.copy').textContent !== 'Copy'")


def test_a_point_names_its_trial_and_leads_to_it(page: Path) -> None:
    with _opened(page) as visit:
        point = visit.page.locator(".drawing").first.locator("a[tabindex='0']")
        point.focus()
        tip = visit.page.locator(".drawing .tip:not([hidden])")
        first = tip.inner_text()
        visit.page.keyboard.press("ArrowRight")
        assert tip.count() == 1 and first != tip.inner_text() and "val/style" in tip.inner_text()
        trial = visit.page.evaluate("document.activeElement.dataset.trial")
        visit.page.keyboard.press("Enter")
        assert visit.page.evaluate("document.querySelector('tr:target').dataset.trial") == trial
        visit.page.locator("#curves .plot").scroll_into_view_if_needed()
        _until(visit, "document.querySelectorAll('#curves .plot path.line').length === 5")
        visit.page.locator("[data-shows='2']").uncheck()
        _until(visit, "document.querySelectorAll('#curves .plot path.line').length === 4")


@pytest.mark.parametrize("viewport", [PHONE, {"width": 820, "height": 700}], ids=["phone", "tablet"])
def test_nothing_is_wider_than_the_screen(page: Path, viewport: dict[str, int]) -> None:
    with _opened(page, viewport=viewport) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        visit.page.locator("#sheet tbody .open").first.click()
        assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        box = visit.page.locator("#view").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= viewport["width"]
