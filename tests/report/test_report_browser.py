"""The report in a real browser: from file://, with the network off."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import PHONE, Visit, browser
from made_runs import HOSTILE, make_image, make_run, make_samples

from impasto.report.page import write_report

pytestmark = pytest.mark.slow  # Chromium


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three trainings that differ, one that failed, with curves and samples."""
    folder = tmp_path_factory.mktemp("report")
    for index, name in enumerate(("first", "second", "third")):
        metrics = {
            "train/loss": [2.0 ** (-step / (20 + index * 10)) for step in range(500)],
            "train/odd": [math.nan if step == 3 else math.inf if step == 5 else -1.0 + step for step in range(10)],
            **{f"val/m{i}": [1.0 + i + index, 2.0, 0.5] for i in range(12)},
        }
        config = {"lr": 10.0**-index, "samples": {"every": 50}}
        make_samples(make_run(folder / "o" / name, metrics=metrics, config=config, seconds=100.0 - index), steps=3)
    make_run(folder / "o/broken", status="failed", error="ValueError: it is broken", traceback="Traceback of it")
    make_image(folder / "o/first/benchmark.png", size=(900, 500))
    write_report([str(folder / "o")], folder / "report.html")
    return folder / "report.html"


@contextmanager
def _opened(path: Path, **options: Any) -> Iterator[Visit]:
    with browser(offline=True, **options) as visit:
        visit.page.on("dialog", lambda dialog: (visit.errors.append(f"dialog {dialog.message}"), dialog.dismiss()))
        visit.page.emulate_media(reduced_motion="reduce")  # else a link scrolls for a while
        visit.page.goto(path.as_uri())
        yield visit
        assert visit.errors == []
        assert {request.split(":")[0] for request in visit.requests} <= {"file", "data"}
        assert [request for request in visit.requests if request.startswith("file")] == [path.as_uri()]


def _until(visit: Visit, expression: str) -> None:
    """Wait for something on the page; Playwright's own wait_for_function is refused by the page's policy."""
    end = time.monotonic() + 20
    while not visit.page.evaluate(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.02)


def _rows(visit: Visit) -> list[str]:
    return [str(text) for text in visit.page.locator("#table tbody tr:visible th a").all_inner_texts()]


def test_curves_are_drawn_when_they_come_into_view(report: Path) -> None:
    with _opened(report) as visit:
        last = visit.page.locator(".chart").last
        assert last.locator("svg").count() == 0
        last.scroll_into_view_if_needed()
        last.locator("svg path").first.wait_for()
        assert last.locator("svg path.line").count() == 3
        label = last.locator("svg").get_attribute("aria-label")
        assert label.startswith("val/m11: 3 curves, between 0.5 and 14"), label
        for path in last.locator("svg path.line").all():
            assert path.bounding_box()["width"] > 100


def test_values_that_no_axis_has_are_marked_and_told(report: Path) -> None:
    with _opened(report) as visit:
        chart = visit.page.locator('.chart[data-name="train/odd"]')
        chart.scroll_into_view_if_needed()
        assert sorted(set(chart.locator("text.odd").all_text_contents())) == ["\u00d7", "\u25b2"]
        visit.page.locator(".legend button", has_text="second").click()
        visit.page.locator(".legend button", has_text="third").click()
        plot = chart.locator(".plot")
        plot.focus()
        told = []
        for _ in range(7):
            visit.page.keyboard.press("ArrowRight")
            told.append(" ".join(chart.locator(".tip").inner_text().split()))
        assert told[0] == "step 0 first -1" and told[3] == "step 3 first NaN" and told[5] == "step 5 first \u221e"
        visit.page.keyboard.press("Escape")
        assert not chart.locator(".tip").is_visible()
        chart.locator("summary").click()
        assert "\u221e at 5" in chart.locator("tbody tr").first.inner_text()


def test_a_curve_says_its_values_under_the_pointer_and_hides_with_its_run(report: Path) -> None:
    with _opened(report) as visit:
        chart = visit.page.locator('.chart[data-name="train/loss"]')
        chart.scroll_into_view_if_needed()
        box = chart.locator(".plot").bounding_box()
        visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
        tip = chart.locator(".tip")
        assert "step 2" in tip.inner_text() and all(name in tip.inner_text() for name in ("first", "second", "third"))
        visit.page.locator('input[aria-label="Curves of second"]').uncheck()
        _until(visit, "document.querySelectorAll('[data-name=\"train/loss\"] path.line').length === 2")
        assert visit.page.locator(".legend button", has_text="second").get_attribute("aria-pressed") == "false"
        visit.page.locator("#all").check()
        _until(visit, "document.querySelectorAll('[data-name=\"train/loss\"] path.line').length === 3")


def test_smoothing_and_the_log_scale_change_the_curve(report: Path) -> None:
    with _opened(report) as visit:
        chart = visit.page.locator('.chart[data-name="val/m0"]')
        chart.scroll_into_view_if_needed()

        def drawn() -> str:
            return str(chart.locator("path.line:not(.raw)").first.get_attribute("d"))

        plain = drawn()
        visit.page.locator("#smoothing").focus()
        visit.page.keyboard.press("End")
        _until(visit, "document.querySelectorAll('[data-name=\"val/m0\"] path.raw').length === 3")
        assert drawn() != plain and visit.page.locator("#smoothed").inner_text() == "0.98"
        visit.page.keyboard.press("Home")
        _until(visit, "!document.querySelector('[data-name=\"val/m0\"] path.raw')")
        assert drawn() == plain
        visit.page.locator("#log").check()
        _until(visit, f"document.querySelector('[data-name=\"val/m0\"] path.line').getAttribute('d') !== '{plain}'")
        assert chart.locator("label input").is_checked()


def test_the_table_is_sorted_by_click_and_by_keyboard(report: Path) -> None:
    with _opened(report) as visit:
        assert _rows(visit) == ["broken", "first", "second", "third"]
        took = visit.page.get_by_role("button", name="took")
        took.click()
        assert _rows(visit) == ["broken", "third", "second", "first"]
        assert visit.page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
        took.focus()
        visit.page.keyboard.press("Enter")
        assert _rows(visit) == ["first", "second", "third", "broken"]
        visit.page.get_by_role("button", name="train/loss").click()
        assert _rows(visit) == ["first", "second", "third", "broken"]  # what has no value stays last
        visit.page.get_by_role("button", name="train/loss").click()
        assert _rows(visit) == ["third", "second", "first", "broken"]


def test_the_filter_hides_rows_and_details(report: Path) -> None:
    with _opened(report) as visit:
        visit.page.fill("#filter", "FAILED brok")
        assert _rows(visit) == ["broken"]
        assert visit.page.locator("details.run:visible").count() == 1
        assert visit.page.locator("#filtered").inner_text() == "1 of 4"
        visit.page.fill("#filter", "")
        assert len(_rows(visit)) == 4


def test_a_link_opens_the_details_and_a_failed_run_shows_its_error_first(report: Path) -> None:
    with _opened(report) as visit:
        visit.page.locator("#table a", has_text="broken").click()
        inside = visit.page.locator("details.run", has=visit.page.locator("#run-0")).locator(".inside")
        inside.wait_for(state="visible")
        assert inside.inner_text().startswith("ValueError: it is broken")
        assert "Traceback of it" in inside.inner_text()
        assert (
            visit.page.locator("#table tr", has_text="broken").locator(".bad").inner_text()
            == "ValueError: it is broken"
        )


def _first_comparison(visit: Visit) -> Any:
    visit.page.locator("#table a", has_text="first").click()
    figure = visit.page.locator("details.run[open] .compare").first
    figure.locator(".slide").wait_for()
    return figure


def _clip(figure: Any) -> str:
    return str(figure.locator(".before").evaluate("image => getComputedStyle(image).clipPath"))


def test_the_slider_moves_by_keyboard(report: Path) -> None:
    with _opened(report) as visit:
        figure = _first_comparison(visit)
        assert _clip(figure) == "inset(0px 50% 0px 0px)"
        figure.locator(".slide").focus()
        for _ in range(10):
            visit.page.keyboard.press("ArrowRight")
        assert _clip(figure) == "inset(0px 40% 0px 0px)"
        visit.page.keyboard.press("Home")
        assert _clip(figure) == "inset(0px 100% 0px 0px)"
        assert figure.locator(".slide").get_attribute("aria-valuetext") == "0 % photograph"


@pytest.mark.parametrize("touch", [False, True])
def test_the_slider_moves_by_mouse_and_by_touch(report: Path, touch: bool) -> None:
    with _opened(report, touch=touch, viewport=PHONE if touch else None) as visit:
        figure = _first_comparison(visit)
        slide = figure.locator(".slide")
        box = slide.bounding_box()
        place = {"x": box["width"] * 0.25, "y": box["height"] * 0.3}
        slide.tap(position=place) if touch else slide.click(position=place)
        value = int(figure.locator(".slide").input_value())
        assert 20 <= value <= 30
        assert _clip(figure) == f"inset(0px {100 - value}% 0px 0px)"


def test_an_older_step_can_be_chosen(report: Path) -> None:
    with _opened(report) as visit:
        figure = _first_comparison(visit)
        assert figure.locator("select option").all_inner_texts() == ["step 300", "step 200", "step 100"]
        assert figure.locator(".tag.right").inner_text() == "step 300"
        figure.locator("select").select_option("step 100")
        assert figure.locator(".tag.right").inner_text() == "step 100"
        assert "samples/step_000100/photo_0.png" in figure.locator(".path").inner_text()
        assert figure.locator(".after:visible").count() == 1


def test_every_picture_is_shown_also_those_that_stand_elsewhere_already(report: Path) -> None:
    with _opened(report) as visit:
        for name in ("first", "second", "third"):
            visit.page.locator("#table a", has_text=name).click()
        _until(visit, "document.querySelectorAll('details.run[open]').length === 3")
        shown = visit.page.locator("img:visible")
        assert shown.count() == 3 * 2 * 2 + 1  # photograph and newest; older steps wait for their turn
        for image in shown.all():
            image.scroll_into_view_if_needed()
        _until(visit, "[...document.images].every(i => !i.offsetParent || (i.complete && i.naturalWidth > 0))")


def test_a_phone_is_wide_enough(report: Path) -> None:
    with _opened(report, viewport=PHONE, touch=True) as visit:
        _first_comparison(visit)
        for summary in visit.page.locator("details.run[open] details > summary").all():
            summary.click()
        visit.page.locator(".chart").last.scroll_into_view_if_needed()
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_without_scripts_everything_but_curves_can_be_read(report: Path) -> None:
    with browser(offline=True) as visit:
        context = visit.page.context.browser.new_context(java_script_enabled=False, offline=True)
        page = context.new_page()
        page.goto(report.as_uri())
        assert "Curves are drawn by this page's own script" in page.locator("noscript").inner_text()
        assert not page.locator("#filter").is_visible() and not page.locator("#legend").is_visible()
        page.locator("details.run > summary", has_text="first").click()
        images = page.locator("details.run[open] .compare img")
        assert images.count() == 8 and all(image.is_visible() for image in images.all())


def test_hostile_names_run_nothing(tmp_path: Path) -> None:
    for index, text in enumerate(HOSTILE):
        run = make_run(
            tmp_path / "o" / f"{index} {text.replace('/', '_')}",
            status="failed",
            command=text,
            config={"name": text, f"{text}{index}": text},
            metrics={text.replace(",", ";").replace('"', "'"): [1.0, 2.0]},
            error=text,
            traceback=text,
        )
        (run / "benchmark.md").write_text(f"| {text} |\n| --- |\n| {text} |\n")
        name = f"{text.replace('/', '_')}.png"
        make_image(run / "samples/photographs" / name), make_image(run / "samples/step_000001" / name, seed=index + 1)
    write_report([str(tmp_path / "o")], tmp_path / "report.html")
    with _opened(tmp_path / "report.html") as visit:
        for link in visit.page.locator("#table a").all():
            link.click()
        for chart in visit.page.locator(".chart").all():
            chart.scroll_into_view_if_needed()
            chart.locator(".plot").hover()
            chart.locator("summary").click()
        assert visit.page.locator("details.run[open]").count() == len(HOSTILE)
        assert visit.page.locator(".compare.live").count() == len(HOSTILE)
        assert visit.page.evaluate("[...document.querySelectorAll('script')].filter(s => !s.type).length") == 1
        assert "{{7*7}}" in visit.page.locator("body").inner_text()
