"""The raters' page over HTTP: who sees what and when, and what is stored."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from small_study import METHODS, serving, small_study, tokens

from impasto.study import answers as answers_module
from impasto.study.answers import read_answers
from impasto.study.folder import image_file
from impasto.study.server import create_app, finished


@contextmanager
def client(folder: Path) -> Iterator[httpx.Client]:
    with serving(folder) as address, httpx.Client(base_url=address) as asking:
        yield asking


def post(asking: httpx.Client, token: str, position: Any = 0, **others: Any) -> httpx.Response:
    given = {"position": position, "answer": 1, "milliseconds": 900, "pauses": 0} | others
    return asking.post(f"/r/{token}/answers", json=given)


def test_rater_meets_the_trials_of_the_session_in_order(tmp_path: Path) -> None:
    study = small_study(tmp_path, pictures=2, break_every=2, trials=5)
    with client(tmp_path) as asking:
        token = tokens(tmp_path)[1]
        state = asking.get(f"/r/{token}/trial").json()
        rests = []
        for position, trial in enumerate(study.sessions[1]):
            assert (state["position"], state["total"]) == (position, 5)
            rests.append(state["rest"])
            shown = [asking.get(f"/r/{token}/{path}") for path in state["pictures"]]
            files = [image_file(tmp_path, picture).read_bytes() for picture in trial.pictures]
            assert [picture.content for picture in shown] == files
            assert {picture.headers["content-type"] for picture in shown} == {"image/png"}
            response = post(asking, token, position, answer=position % 2, milliseconds=100 + position, pauses=position)
            assert response.status_code == 200
            state = response.json()
        assert state == {"done": True}
        assert asking.get(f"/r/{token}/trial").json() == {"done": True}
        assert rests == [False, False, True, False, True]
    told = [(a.rater, a.position, a.answer, a.milliseconds, a.pauses, a.simulated) for a in read_answers(tmp_path)]
    assert told == [(2, place, place % 2, 100 + place, place, False) for place in range(5)]
    assert finished(study, tmp_path) == 1


def test_only_the_current_and_the_next_pictures_are_shown(tmp_path: Path) -> None:
    study = small_study(tmp_path, raters=2)
    with client(tmp_path) as asking:
        token = tokens(tmp_path)[0]
        for position in (0, 1):
            post(asking, token, position)
        state = asking.get(f"/r/{token}/trial").json()
        assert state["pictures"] == ["pictures/2/0"]
        assert state["next"] == ["pictures/3/0"]
        codes = {place: asking.get(f"/r/{token}/pictures/{place}/0").status_code for place in range(8)}
        assert codes == {place: 200 if place in (2, 3) else 404 for place in range(8)}
        assert asking.get(f"/r/{token}/pictures/2/1").status_code == 404
        own = asking.get(f"/r/{tokens(tmp_path)[1]}/pictures/0/0").content
        assert own == image_file(tmp_path, study.sessions[1][0].pictures[0]).read_bytes()
        for position in range(2, 6):
            post(asking, token, position)
        assert asking.get(f"/r/{token}/pictures/6/0").status_code == 404


@pytest.mark.parametrize("position", [1, 3, 2**70])
def test_what_is_not_the_next_trial_is_refused_with_the_state(tmp_path: Path, position: int) -> None:
    small_study(tmp_path)
    with client(tmp_path) as asking:
        token = tokens(tmp_path)[0]
        for place in (0, 1):
            assert post(asking, token, place).status_code == 200
        before = read_answers(tmp_path)
        response = post(asking, token, position, answer=0)
        assert response.status_code == 409
        assert response.json()["position"] == 2
        assert response.json()["pictures"] == ["pictures/2/0"]
        assert read_answers(tmp_path) == before


def test_one_of_twenty_equal_answers_is_taken(tmp_path: Path) -> None:
    small_study(tmp_path)
    with client(tmp_path) as asking, ThreadPoolExecutor(20) as pool:
        token = tokens(tmp_path)[0]
        codes = list(pool.map(lambda number: post(asking, token, 0, answer=number % 2).status_code, range(20)))
    assert sorted(codes) == [200] + [409] * 19
    assert len(read_answers(tmp_path)) == 1


def test_two_servers_share_a_study_that_is_being_read(tmp_path: Path) -> None:
    small_study(tmp_path, raters=1, trials=40)
    token = tokens(tmp_path)[0]
    with client(tmp_path) as one, client(tmp_path) as other, ThreadPoolExecutor(3) as pool:

        def rate(asking: httpx.Client) -> list[int]:
            return [position for position in range(40) if _until_taken(asking, token, position)]

        taken = [pool.submit(rate, asking) for asking in (one, other)]
        seen = [len(read_answers(tmp_path)) for _ in range(20)]
        first, second = (result.result() for result in taken)
    assert sorted(first + second) == list(range(40))
    assert seen == sorted(seen)
    assert [answer.position for answer in read_answers(tmp_path)] == list(range(40))


def _until_taken(asking: httpx.Client, token: str, position: int) -> bool:
    """Post until the position is answered; whether it was this post that did it."""
    while True:
        response = post(asking, token, position)
        if response.status_code == 200:
            return True
        if response.json().get("position", 99) > position:
            return False


def test_page_and_requests_tell_nothing_of_methods(tmp_path: Path) -> None:
    study = small_study(tmp_path, pictures=2)
    secrets = [*METHODS, *study.stimuli, *(s.sha256 for s in study.stimuli.values()), "photo0"]
    with client(tmp_path) as asking:
        token = tokens(tmp_path)[0]
        responses = [asking.get(f"/static/study.{end}") for end in ("js", "css", "svg")]
        for position in range(6):
            responses += [asking.get(f"/r/{token}"), asking.get(f"/r/{token}/trial")]
            responses += [asking.get(f"/r/{token}/pictures/{position}/{side}") for side in (0, 1, 2)]
            responses += [post(asking, token, position), post(asking, token, position), post(asking, token, answer=3)]
        responses.append(asking.get(f"/r/{token}"))
    for number, response in enumerate(responses):
        told = f"{response.url} {response.headers}".encode() + response.content
        kinds = ["rated", "repeat", "catch"] if number >= 3 and "pictures" not in str(response.url) else []
        assert not [secret for secret in secrets + kinds if secret.encode() in told], response.url


def test_pictures_of_a_photograph_differ_in_nothing_but_pixels(tmp_path: Path) -> None:
    study = small_study(tmp_path, raters=4, trials=2)
    headers: dict[str, set[str]] = {}
    with client(tmp_path) as asking:
        for token, session in zip(tokens(tmp_path), study.sessions, strict=True):
            for position, trial in enumerate(session):
                response = asking.get(f"/r/{token}/pictures/{position}/0")
                told = {name: value for name, value in response.headers.items() if name != "date"}
                assert not {"etag", "last-modified", "content-disposition"} & set(told)
                headers.setdefault(study.stimuli[trial.pictures[0]].photograph, set()).add(str(sorted(told.items())))
    assert len(headers) == 2
    assert all(len(different) == 1 for different in headers.values())


def test_page_shows_the_study_s_texts_as_texts(tmp_path: Path) -> None:
    small_study(tmp_path)
    with client(tmp_path) as asking:
        page = asking.get(f"/r/{tokens(tmp_path)[0]}").text
    assert "<title>Looking at &lt;pictures&gt;</title>" in page
    assert "Does this image look natural to you?" in page
    assert "Not natural" in page


def test_locked_database_is_said_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_study(tmp_path)
    monkeypatch.setattr(answers_module, "_BUSY_SECONDS", 0.05)
    token = tokens(tmp_path)[0]
    with client(tmp_path) as asking:
        with closing(sqlite3.connect(tmp_path / "answers.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            response = post(asking, token)
            assert (response.status_code, list(response.json())) == (503, ["error"])
            assert asking.get(f"/r/{token}/trial").json()["position"] == 0  # reading goes on
            other.execute("ROLLBACK")
        assert read_answers(tmp_path) == []
        assert post(asking, token).status_code == 200


def test_full_disk_is_said_and_nothing_acknowledged_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def full(*given: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*given, **options)
        connection.execute("PRAGMA max_page_count=2")  # SQLite's own error, at two pages
        return connection

    small_study(tmp_path, raters=1, trials=300)
    token = tokens(tmp_path)[0]
    with client(tmp_path) as asking:
        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", full)
            taken = 0
            while (response := post(asking, token, taken)).status_code == 200:
                taken += 1
        assert response.status_code == 503
        assert 0 < taken < 300
        assert [answer.position for answer in read_answers(tmp_path)] == list(range(taken))
        assert post(asking, token, taken).status_code == 200


def test_picture_that_was_removed_meanwhile_is_said(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    with client(tmp_path) as asking:
        image_file(tmp_path, study.sessions[0][0].pictures[0]).unlink()
        response = asking.get(f"/r/{tokens(tmp_path)[0]}/pictures/0/0")
    assert response.status_code == 503
    assert str(tmp_path) not in response.text


def test_study_with_lost_pictures_is_refused_by_name(tmp_path: Path) -> None:
    names = list(small_study(tmp_path).stimuli)
    image_file(tmp_path, names[0]).unlink()
    image_file(tmp_path, names[1]).write_bytes(b"other")
    with pytest.raises(ValueError, match=rf"2 of 6 pictures .* missing or changed, the first is .*{names[0]}.png"):
        create_app(tmp_path)


def test_tokens_that_do_not_fit_the_sessions_are_refused(tmp_path: Path) -> None:
    small_study(tmp_path)
    (tmp_path / "raters.csv").write_text("rater,token\n1,abc\n3,def\n")
    with pytest.raises(ValueError, match="expected one token for each of 2 raters"):
        create_app(tmp_path)
