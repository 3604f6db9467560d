"""File names of any kind reach the command as they are, and misspelt words are refused with the nearest right one."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose
from omegaconf import DictConfig, OmegaConf

from impasto.cli import conf_dir
from impasto.launch.composition import check_arguments, initialize
from impasto.launch.words import parse, prepare_arguments, quote

HARD_NAMES = [
    "plain.jpg",
    "my photo (1).jpg",
    "a,b.png",
    "[brackets]{braces}.png",
    "a=b.png",
    "写真.png",
    'it\'s "quoted".png',
    "back\\slash.png",
    "ends with backslash\\",
    "back\\'quote.png",
    "${interpolation}.png",
    "\\${escaped}.png",
    "\\\\${twice}.png",
    "#comment.png",
    "null",
    "1e5",
    "~home.png",
    "new\nline.png",
    "tab\t.png",
    "%s {} $HOME `x`.png",
]


def _composed_images(arguments: list[str]) -> list[str]:
    with initialize(conf_dir()):
        return list(compose("apply", arguments).images)


@pytest.mark.parametrize("name", HARD_NAMES)
def test_a_quoted_name_comes_back_as_it_was(name: str) -> None:
    assert _composed_images([f"images=[{quote(name)}]"]) == [name]


def test_bare_files_become_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [name for name in HARD_NAMES if "\n" not in name]
    for name in names:
        (tmp_path / name).touch()
    prepared = prepare_arguments(conf_dir(), "apply", ["style=starry_night", "--", *names])
    assert _composed_images(prepared) == names


def test_an_existing_image_is_a_file_even_if_it_looks_like_an_override(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "style=x.png").touch()
    prepared = prepare_arguments(conf_dir(), "apply", ["style=x.png", "style=great_wave"])
    assert _composed_images(prepared) == ["style=x.png"]


@pytest.mark.parametrize("name", ["my photo (1).jpg", "a,b.jpg", "a=b.jpg"])
def test_a_path_behind_a_key_needs_no_quotes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    prepared = prepare_arguments(conf_dir(), "apply", [f"images={name}"])
    with initialize(conf_dir()):
        assert compose("apply", prepared).images == name


def test_flags_keep_their_values() -> None:
    given = ["seed=1", "--config-dir", "mine", "style=great_wave", "--cfg", "job", "-m"]
    expected = ["--config-dir", "mine", "--cfg", "job", "-m", "seed=1", "style=great_wave"]
    assert prepare_arguments(conf_dir(), "train", given) == expected


def test_a_flag_may_carry_its_value_behind_an_equals_sign() -> None:
    assert prepare_arguments(conf_dir(), "train", ["--config-dir=mine", "-m"]) == ["--config-dir", "mine", "-m"]


def test_a_path_that_is_not_there_yet_needs_no_quotes_either() -> None:
    for name in ("出力", "my photos (1)"):
        prepared = prepare_arguments(conf_dir(), "apply", [f"output={name}"])
        with initialize(conf_dir()):
            assert compose("apply", prepared).output == name


def test_a_long_list_is_no_file_name() -> None:
    names = ",".join(f"photo_{index:04}.jpg" for index in range(100))
    assert prepare_arguments(conf_dir(), "apply", [f"images=[{names}]"]) == [f"images=[{names}]"]


def test_bare_files_beside_images_are_refused() -> None:
    with pytest.raises(ValueError, match="not both"):
        prepare_arguments(conf_dir(), "apply", ["images=holiday", "extra.jpg"])


def test_a_home_less_tilde_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~draft.jpg").touch()
    assert _composed_images(prepare_arguments(conf_dir(), "apply", ["~draft.jpg"])) == ["~draft.jpg"]


def test_files_for_a_command_without_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"train takes no files; expected key=value, got 'photo\.jpg'"):
        prepare_arguments(conf_dir(), "train", ["photo.jpg"])


def _composed(command: str, arguments: list[str]) -> DictConfig:
    with initialize(conf_dir()):
        return compose(command, arguments)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *((command, "outputs/2026-11-23/22-22-00_study") for command in ("study_simulate", "study_serve")),
        *(("study_analyse", name) for name in HARD_NAMES),
    ],
)
def test_a_bare_folder_is_the_study(command: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir(parents=True)
    assert _composed(command, prepare_arguments(conf_dir(), command, ["--", name])).study == name
    assert _composed(command, prepare_arguments(conf_dir(), command, [name, "seed=3"])).study == name


def test_bare_folders_are_the_runs_of_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["outputs", "a,b", "a=b", "my runs (1)"]
    for name in names:
        (tmp_path / name).mkdir()
    assert list(_composed("report", prepare_arguments(conf_dir(), "report", names)).runs) == names


def test_bare_photographs_are_the_images_of_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b.jpg").touch()
    prepared = prepare_arguments(conf_dir(), "study_create", ["a,b.jpg", "methods={truth: photograph}", "raters=6"])
    cfg = _composed("study_create", prepared)
    assert (list(cfg.images), dict(cfg.methods), cfg.raters) == (["a,b.jpg"], {"truth": "photograph"}, 6)


def test_two_studies_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one study, got one, two"):
        prepare_arguments(conf_dir(), "study_analyse", ["one", "two"])
    with pytest.raises(ValueError, match=r"give files bare or as study=\.\.\., not both \(got 'two' beside study=\)"):
        prepare_arguments(conf_dir(), "study_analyse", ["study=one", "two"])


def test_resume_writes_into_the_runs_own_folder(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    prepared = prepare_arguments(conf_dir(), "train", [f"resume={tmp_path}"])
    assert f"hydra.run.dir='{tmp_path}'" in prepared
    with pytest.raises(FileNotFoundError, match="is no run folder"):
        prepare_arguments(conf_dir(), "train", [f"resume={tmp_path / 'nothing'}"])


@pytest.mark.parametrize("multirun", [False, True])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{é.jpg:1,great_wave:0.5}", {"é.jpg": 1, "great_wave": 0.5}),
        ("{Größe: scenes}", {"Größe": "scenes"}),
        ('{"it\'s \\"quoted\\" ${x} \\\\ {é}.jpg": 1}', {'it\'s "quoted" ${x} \\ {é}.jpg': 1}),
        ("[é.jpg, 写真 (1).png]", ["é.jpg", "写真 (1).png"]),
    ],
)
def test_names_beyond_hydras_grammar_are_taken_in_mappings_and_lists(value: str, expected: Any, multirun: bool) -> None:
    key = "blend" if "{" in value[0] else "images"
    (word,) = prepare_arguments(conf_dir(), "optimize", [f"{key}={value}"])
    check_arguments(conf_dir(), "optimize", [word])
    if multirun:  # where Hydra writes the words anew
        (override,) = parse([word])
        word = f"{key}={override.get_value_element_as_str()}"
    with initialize(conf_dir()):
        assert OmegaConf.to_container(compose("optimize", [word])[key]) == expected


def test_a_name_that_is_too_long_for_a_file_is_a_word_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "x" * 246 + ".jpg"
    (tmp_path / name).touch()
    assert prepare_arguments(conf_dir(), "apply", [f"images={name}"]) == [f"images={name}"]


@pytest.mark.parametrize("none", ["none", "null"])
def test_a_group_of_which_nothing_is_chosen_is_left_out(none: str) -> None:
    assert prepare_arguments(conf_dir(), "train", [f"style={none}", "resume=null"]) == ["~style", "resume=null"]
    assert _composed("train", ["~style"]).style is None
    assert prepare_arguments(conf_dir(), "sweep", [f"pruner={none}"]) == ["~pruner"]
    assert _composed("sweep", ["~pruner"]).pruner is None
