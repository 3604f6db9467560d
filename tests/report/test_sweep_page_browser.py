"""The page of a sweep in a real browser: from file://, with the network off."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from browser import PHONE, Visit, browser
from made_runs import HOSTILE, make_samples
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from impasto.report.sweep_page import write_sweep_page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five trials of two objectives, with hostile names."""
    folder, long = tmp_path_factory.mktemp("sweep"), "parameters." + "a_long_name_" * 6
    study = optuna.create_study(study_name=HOSTILE[0], directions=["minimize", "minimize"])
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["val/style", "val/content"])
    space = {"loss.weights.style": FloatDistribution(0, 10_000), long: CategoricalDistribution(HOSTILE)}
    for number, style in enumerate((0.5, 0.25, 0.75, None, 0.9)):
        make_samples(folder / str(number), photographs=2, steps=2, seed=number)
        study.add_trial(
            create_trial(
                state=TrialState.FAIL if style is None else TrialState.COMPLETE,
                values=None if style is None else [style, 1.0 - style],
                params={"loss.weights.style": 10.0 ** (3 - number), long: HOSTILE[number % len(HOSTILE)]},
                distributions=space,
                user_attrs={"seconds": 9.0 - number, "error": HOSTILE[0]},
            )
        )
    states = dict.fromkeys(range(5), "finished") | {3: "failed"}
    given = {"states": states, "total": 9, "command": "impasto train x", "about": "a: 1\n"}
    write_sweep_page(folder, study, best=[0, 1, 2, 4], **given)
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
    return [str(text).split()[0] for text in visit.page.locator("#table tbody th").all_inner_texts()]


def _until(visit: Visit, expression: str) -> None:
    end = time.monotonic() + 20
    while not visit.page.evaluate(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.02)


def test_the_trials_are_sorted_enlarged_and_commands_are_copied(page: Path) -> None:
    with _opened(page) as visit:
        assert _order(visit) == ["1", "0", "2", "4", "3"]
        visit.page.get_by_role("button", name="loss.weights.style").click()
        assert _order(visit) == ["4", "3", "2", "1", "0"]
        visit.page.get_by_role("button", name="val/style").click()
        assert _order(visit) == ["1", "0", "2", "4", "3"]
        visit.page.locator("#table tbody .open").nth(2).click()
        dialog = visit.page.locator("#view[open]")
        assert dialog.locator("h2").inner_text() == "Trial 0, photo_0"
        _until(visit, "[...document.querySelectorAll('#large img')].every((image) => image.naturalWidth > 0)")
        before, after = (dialog.locator("img").nth(number).bounding_box() for number in (0, 1))
        assert before["x"] + before["width"] <= after["x"]  # side by side
        visit.page.click("#next")
        assert dialog.locator("h2").inner_text() == "Trial 2, photo_0"
        visit.page.keyboard.press("Escape")
        assert visit.page.evaluate("document.activeElement.className") == "open"
        visit.page.click(".copy")
        _until(visit, "document.querySelector('.copy').textContent !== 'Copy'")


@pytest.mark.parametrize("viewport", [PHONE, {"width": 820, "height": 700}], ids=["phone", "tablet"])
def test_nothing_is_wider_than_the_screen(page: Path, viewport: dict[str, int]) -> None:
    with _opened(page, viewport=viewport) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        visit.page.locator("#table tbody .open").first.click()
        assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        box = visit.page.locator("#view").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= viewport["width"]
