"""Run folders are found however deep, each once, and nothing in them is trusted."""

from pathlib import Path

import pytest
from made_runs import make_run

from impasto.report.page import find_runs, names_of


def test_runs_are_found_at_the_folder_itself_and_however_deep(tmp_path: Path) -> None:
    deep = [make_run(tmp_path / name) for name in ("a", "b/0", "b/1", "b/10", "b/2", "c/d/e/f")]
    ablation = [make_run(tmp_path / "abl"), make_run(tmp_path / "abl/runs/colour only")]
    assert find_runs([str(tmp_path)]) == [deep[0], *ablation, deep[1], deep[2], deep[4], deep[3], deep[5]]
    assert find_runs([str(deep[0])]) == [deep[0]]
    assert find_runs([str(deep[0]), str(tmp_path / "a"), str(tmp_path / "b")]) == [deep[i] for i in (0, 1, 2, 4, 3)]


def test_a_part_of_a_run_folder_is_one(tmp_path: Path) -> None:
    for mark in ("config.yaml", "status.json"):
        (tmp_path / f"only {mark}").mkdir()
        (tmp_path / f"only {mark}" / mark).write_text("")
    assert len(find_runs([str(tmp_path)])) == 2


def test_links_below_a_folder_are_not_followed_and_a_run_is_found_once(tmp_path: Path) -> None:
    outputs, elsewhere = tmp_path / "outputs", make_run(tmp_path / "elsewhere")
    run = make_run(outputs / "run")
    for name, target in {"circle": outputs, "linked": elsewhere, "itself": outputs / "itself"}.items():
        (outputs / name).symlink_to(target)
    (run / "me").symlink_to(run)
    assert find_runs([str(outputs), str(run)]) == [run]


def test_what_was_named_must_be_a_folder_with_runs(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*gone"):
        find_runs([str(tmp_path / "gone")])
    with pytest.raises(ValueError, match=r"no run folder in .*empty; expected one with config\.yaml and status\.json"):
        find_runs([str(tmp_path / "empty")])
    file = make_run(tmp_path / "run") / "config.yaml"
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*config\.yaml"):
        find_runs([str(file)])
    with pytest.raises(ValueError, match="no folders were given"):
        find_runs([])


def test_names_are_as_short_as_tells_them_apart() -> None:
    def named(*paths: str) -> list[str]:
        return names_of([Path(path) for path in paths])

    assert named("/o/2026/10-00_train_ab") == ["10-00_train_ab"]
    assert named("/o/a", "/o/b") == ["a", "b"]
    assert named("/o/m/0", "/o/m/1") == ["m/0", "m/1"] and named("/o/m/0") == ["m/0"]
    assert named("/o/abl", "/o/abl/runs/joint") == ["abl", "abl/runs/joint"]
    assert named("/o/x/a", "/o/y/a", "/o/a") == ["x/a", "y/a", "a"]
