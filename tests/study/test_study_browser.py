"""A rater in a real browser: keyboard, touch, pauses, reloads, and a server that dies in the middle."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import PHONE, Visit, browser
from small_study import free_port, process_serving, serving, small_study, tokens

from impasto.study.answers import Answers, read_answers

pytestmark = pytest.mark.slow

GUARD = 0.15  # s, of study.js
SHOWN = "#trial .frame img"


@contextmanager
def visiting(folder: Path, **options: Any) -> Iterator[tuple[Visit, str]]:
    """A browser at the welcome page of rater 1, and the link."""
    with serving(folder) as address, browser(**options) as visit:
        link = f"{address}/r/{tokens(folder)[0]}"
        visit.page.goto(link)
        yield visit, link
        assert all(request.startswith(f"{address}/") for request in visit.requests)


def wait_until_ready(visit: Visit, place: int, total: int = 6) -> None:
    """Wait until a trial, counted from 1, is shown and takes answers."""
    visit.page.wait_for_function(
        "text => document.querySelector('#count').textContent === text"
        " && !document.querySelector('#trial').classList.contains('saving')",
        arg=f"{place} of {total}",
    )
    visit.page.wait_for_selector(SHOWN)
    time.sleep(GUARD + 0.1)


def stored(folder: Path) -> list[int]:
    return [answer.answer for answer in read_answers(folder)]


def test_whole_study_by_keyboard_with_a_reload_and_a_pause(tmp_path: Path) -> None:
    small_study(tmp_path, break_every=4)
    with visiting(tmp_path) as (visit, _):
        page = visit.page
        assert "Does this image look natural to you?" in page.inner_text("#welcome")
        page.keyboard.press("Enter")
        for place, key in enumerate(["ArrowRight", "1"], 1):
            wait_until_ready(visit, place)
            page.keyboard.press(key)
        wait_until_ready(visit, 3)
        assert stored(tmp_path) == [1, 0]
        page.reload()
        assert "2 of 6 are answered" in page.inner_text("#welcome")
        page.keyboard.press("Enter")
        wait_until_ready(visit, 3)
        page.keyboard.press("p")
        assert not page.is_visible(SHOWN)
        page.keyboard.press("ArrowLeft")  # nothing is answered in a pause
        time.sleep(0.3)
        page.keyboard.press("Space")
        wait_until_ready(visit, 3)
        page.keyboard.press("2")
        wait_until_ready(visit, 4)
        page.keyboard.press("ArrowLeft")
        page.wait_for_selector("#resume")
        assert page.inner_text("#pause-title") == "A short break?"
        page.keyboard.press("Enter")
        for place in (5, 6):
            wait_until_ready(visit, place)
            page.keyboard.press("ArrowRight")
        page.wait_for_selector("#done")
        assert visit.errors == []
        page.reload()
        assert page.is_visible("#done")
    answers = read_answers(tmp_path)
    assert [answer.answer for answer in answers] == [1, 0, 1, 0, 1, 1]
    assert [answer.pauses for answer in answers] == [0, 0, 2, 0, 0, 0]  # the reload is one
    assert all(answer.milliseconds >= GUARD * 1000 for answer in answers)


def test_time_runs_from_the_picture_and_stands_in_pauses(tmp_path: Path) -> None:
    small_study(tmp_path)
    with visiting(tmp_path) as (visit, _):
        visit.page.click("#start")
        wait_until_ready(visit, 1)
        for _ in range(2):
            time.sleep(0.3)
            visit.page.keyboard.press("Space")
            time.sleep(1.5)
            visit.page.keyboard.press("Space")
        time.sleep(0.3)
        visit.page.keyboard.press("1")
        wait_until_ready(visit, 2)
    answer = read_answers(tmp_path)[0]
    assert answer.pauses == 2
    assert 900 <= answer.milliseconds < 3500  # 0.25 + 3 x 0.3 s and what the browser takes, without 2 x 1.5 s


def test_time_goes_on_where_a_reload_interrupted_it(tmp_path: Path) -> None:
    small_study(tmp_path)
    with visiting(tmp_path) as (visit, link):
        visit.page.click("#start")
        wait_until_ready(visit, 1)
        visit.page.keyboard.press("1")
        for _ in range(3):
            wait_until_ready(visit, 2)
            time.sleep(0.75)
            visit.page.goto(link)
            visit.page.click("#start")
        wait_until_ready(visit, 2)
        visit.page.keyboard.press("1")
        wait_until_ready(visit, 3)
        visit.page.keyboard.press("1")
        wait_until_ready(visit, 4)
    first, second, third = read_answers(tmp_path)
    assert (first.pauses, second.pauses, third.pauses) == (0, 3, 0)
    assert second.milliseconds >= 3000
    assert max(first.milliseconds, third.milliseconds) < second.milliseconds


def test_leaving_the_tab_pauses(tmp_path: Path) -> None:
    small_study(tmp_path)
    with visiting(tmp_path) as (visit, _):
        visit.page.click("#start")
        wait_until_ready(visit, 1)
        visit.page.evaluate(
            "() => { Object.defineProperty(document, 'hidden', { value: true });"
            " document.dispatchEvent(new Event('visibilitychange')); }"
        )
        assert visit.page.is_visible("#pause")
        assert not visit.page.is_visible("#trial")


def test_double_and_held_keys_give_one_answer(tmp_path: Path) -> None:
    small_study(tmp_path)
    press = "window.dispatchEvent(new KeyboardEvent('keydown', {code: 'ArrowRight', key: 'ArrowRight', repeat: %s}));"
    with visiting(tmp_path) as (visit, _):
        visit.page.click("#start")
        wait_until_ready(visit, 1)
        visit.page.evaluate(press % "true" * 3)
        visit.page.keyboard.press("Control+ArrowRight")
        visit.page.keyboard.press("Shift+ArrowRight")
        time.sleep(0.3)
        assert stored(tmp_path) == []
        visit.page.evaluate(
            "async () => { let shown = Infinity;"
            " for (let now = 0; now < shown + 140; now = performance.now()) {"
            "  if (shown === Infinity && document.querySelector('#count').textContent === '2 of 6') shown = now;"
            f"  {press % 'false'} await new Promise(requestAnimationFrame); "
            "} }"
        )  # hammered from before the answer until within the guard of the next picture
        time.sleep(0.5)
        assert stored(tmp_path) == [1]
        assert visit.errors == []


def test_keys_wait_for_a_slow_picture(tmp_path: Path) -> None:
    small_study(tmp_path)
    with visiting(tmp_path) as (visit, _):
        held: list[Any] = []
        visit.page.route(re.compile("pictures/0"), lambda route: held.append(route))
        visit.page.click("#start")
        while not held:
            visit.page.wait_for_timeout(10)
        for _ in range(5):
            visit.page.keyboard.press("ArrowRight")
        visit.page.wait_for_timeout(1500)
        held[0].continue_()
        assert stored(tmp_path) == []
        wait_until_ready(visit, 1)
        visit.page.keyboard.press("ArrowRight")
        wait_until_ready(visit, 2)
        assert stored(tmp_path) == [1]
    assert read_answers(tmp_path)[0].milliseconds < 1500  # the clock did not run while it loaded


def test_touch_on_a_phone(tmp_path: Path) -> None:
    small_study(tmp_path, pictures=2, trials=3)
    with visiting(tmp_path, viewport=PHONE, touch=True) as (visit, _):
        page = visit.page
        page.tap("#start")
        wait_until_ready(visit, 1, 3)
        first, second = (image.bounding_box() for image in page.query_selector_all(SHOWN))
        assert second["y"] >= first["y"] + first["height"]  # one above the other
        page.locator(SHOWN).nth(1).tap()
        wait_until_ready(visit, 2, 3)
        page.locator(SHOWN).nth(0).tap()
        wait_until_ready(visit, 3, 3)
        page.tap("#pause-now")
        page.tap("#resume")
        wait_until_ready(visit, 3, 3)
        page.tap("[data-answer='1']")
        page.wait_for_selector("#done")
        assert visit.errors == []
    assert stored(tmp_path) == [1, 0, 1]


@pytest.mark.parametrize("size", [48, 700, 1500])
@pytest.mark.parametrize("pictures", [1, 2])
def test_pictures_fit_and_are_never_enlarged(tmp_path: Path, size: int, pictures: int) -> None:
    small_study(tmp_path, pictures=pictures, trials=2, size=size)
    with visiting(tmp_path) as (visit, _):
        visit.page.click("#start")
        wait_until_ready(visit, 1, 2)
        boxes = [image.bounding_box() for image in visit.page.query_selector_all(SHOWN)]
        assert len(boxes) == pictures
        for box in boxes:
            assert abs(box["width"] - box["height"]) < 1  # as square as the file
            assert box["width"] <= size
            assert size > 48 or box["width"] == 48
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 1280
            assert box["y"] + box["height"] <= 900
        assert visit.page.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
        colour = visit.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert len(set(re.findall(r"\d+", colour))) == 1  # grey


def test_every_file_is_fetched_once(tmp_path: Path) -> None:
    small_study(tmp_path, pictures=2, trials=3)
    with visiting(tmp_path) as (visit, _):
        visit.page.keyboard.press("Enter")
        for place in (1, 2, 3):
            wait_until_ready(visit, place, 3)
            visit.page.keyboard.press("1")
        visit.page.wait_for_selector("#done")
        pictures = [request for request in visit.requests if "/pictures/" in request]
    assert len(pictures) == len(set(pictures)) == 6


def test_page_outlives_its_server(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    small_study(folder)
    port = free_port()
    with browser() as visit:
        page = visit.page
        with process_serving(folder, port):
            page.goto(f"http://127.0.0.1:{port}/r/{tokens(folder)[0]}")
            page.click("#start")
            wait_until_ready(visit, 1)
            page.keyboard.press("ArrowRight")
            wait_until_ready(visit, 2)
        page.keyboard.press("ArrowLeft")  # to a server that was killed
        page.wait_for_function("() => document.querySelector('#note').textContent.includes('not saved yet')")
        page.keyboard.press("ArrowRight")  # too late: one trial has one answer
        time.sleep(1.5)
        assert stored(folder) == [1]
        with process_serving(folder, port):
            wait_until_ready(visit, 3)
            assert page.inner_text("#note") == ""
            for place in (3, 4, 5, 6):
                wait_until_ready(visit, place)
                page.keyboard.press("ArrowRight")
            page.wait_for_selector("#done")
        assert all("ERR_" in error for error in visit.errors), visit.errors
    assert stored(folder) == [1, 0, 1, 1, 1, 1]


def test_lost_acknowledgement_is_no_second_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_study(tmp_path)
    with visiting(tmp_path) as (visit, _):
        visit.page.click("#start")
        wait_until_ready(visit, 1)
        kept = Answers.add

        def stored_but_cut_off(answers: Answers, *given: int, **others: int) -> bool:
            kept(answers, *given, **others)  # type: ignore[arg-type]
            monkeypatch.setattr(Answers, "add", kept)
            raise OSError("the acknowledgement is lost")

        monkeypatch.setattr(Answers, "add", stored_but_cut_off)
        visit.page.keyboard.press("ArrowRight")
        wait_until_ready(visit, 2)
        assert visit.page.inner_text("#note") == ""
    assert stored(tmp_path) == [1]


def test_second_tab_goes_on_where_the_first_one_is(tmp_path: Path) -> None:
    small_study(tmp_path)
    with visiting(tmp_path) as (visit, link):
        visit.page.click("#start")
        wait_until_ready(visit, 1)
        other = Visit(visit.page.context.new_page())
        other.page.goto(link)
        other.page.click("#start")
        for place in (1, 2):
            wait_until_ready(other, place)
            other.page.keyboard.press("ArrowRight")
        wait_until_ready(other, 3)
        visit.page.bring_to_front()
        visit.page.evaluate("() => document.querySelector('#resume').click()")
        visit.page.keyboard.press("ArrowLeft")
        wait_until_ready(visit, 3)
        assert "already given one in another window" in visit.page.inner_text("#note")
        visit.page.keyboard.press("ArrowLeft")
        wait_until_ready(visit, 4)
        assert visit.page.inner_text("#note") == ""
    assert stored(tmp_path) == [1, 1, 0]


def test_study_that_is_not_there_any_more_is_said(tmp_path: Path) -> None:
    small_study(tmp_path)
    with visiting(tmp_path) as (visit, _):
        visit.page.route(re.compile("answers"), lambda route: route.fulfill(status=404, body="{}"))
        visit.page.click("#start")
        wait_until_ready(visit, 1)
        visit.page.keyboard.press("ArrowRight")
        visit.page.wait_for_function("() => document.querySelector('#note').textContent.includes('reload')")
    assert stored(tmp_path) == []
