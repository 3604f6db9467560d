"""File names of any kind reach the command as they are, and misspelt words are refused with the nearest right one."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from impasto.cli import conf_dir
from impasto.commands.arguments import parse, prepare_arguments, quote
from impasto.commands.checking import check_arguments

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
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
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
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
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
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
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


def test_sweeps_that_only_their_sweeper_can_list_are_left_to_it() -> None:
    check_arguments(conf_dir(), "train", ["-m", "style=glob(*)", "style_size=interval(1,2)"])


def test_files_for_a_command_without_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"train takes no files; expected key=value, got 'photo\.jpg'"):
        prepare_arguments(conf_dir(), "train", ["photo.jpg"])


def _composed(command: str, arguments: list[str]) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(command, arguments)


@pytest.mark.parametrize("name", ["outputs/2026-11-23/22-22-00_study_52efd345", *HARD_NAMES])
@pytest.mark.parametrize("command", ["study_analyse", "study_simulate", "study_serve"])
def test_a_bare_folder_is_the_study(name: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_an_experiment_of_a_command_of_two_words_is_named_by_both() -> None:
    check_arguments(conf_dir(), "study_create", ["experiment=iizuka2016_study", "methods.baseline=grey"])
    with pytest.raises(ValueError, match="is one of 'impasto study create', not of 'impasto train'"):
        check_arguments(conf_dir(), "train", ["experiment=iizuka2016_study"])
    with pytest.raises(ValueError, match="is one of 'impasto train', not of 'impasto study create'"):
        check_arguments(conf_dir(), "study_create", ["experiment=quickstart"])


@pytest.mark.parametrize(
    ("command", "argument", "message"),
    [
        ("study_create", "question=beter", "question has no 'beter'; did you mean 'better'?"),
        (
            "study_create",
            "rule.least_catch=1",
            "unknown key or group 'rule.least_catch'; did you mean 'rule.least_catche",
        ),
        ("study_create", "rater=3", "unknown key or group 'rater'; did you mean 'raters'?"),
        ("study_analyse", "studdy=x", "unknown key or group 'studdy'; did you mean 'study'?"),
        ("study_simulate", "preference={a: 1}", "unknown key or group 'preference'; did you mean 'preferences'?"),
    ],
)
def test_a_misspelt_word_of_a_study_is_refused(command: str, argument: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        check_arguments(conf_dir(), command, [argument])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("stlye=starry_night", "unknown key or group 'stlye'; did you mean 'style'?"),
        ("+stlye=starry_night", "unknown key or group 'stlye'; did you mean 'style'?"),
        ("++sed=1", "unknown key or group 'sed'; did you mean 'seed'?"),
        ("style=stary_night", "style has no 'stary_night'; did you mean 'starry_night'?"),
        ("experiment=quikstart", "experiment has no 'quikstart'; did you mean 'quickstart'?"),
        ("loss.weigths.style=1", "unknown key or group 'loss.weigths'; did you mean 'loss.weights'?"),
        ("trainer.max_step=1", "unknown key or group 'trainer.max_step'; did you mean 'trainer.max_steps'?"),
        ("hydra.rnu.dir=x", "unknown key or group 'hydra.rnu'; did you mean 'hydra.run'?"),
        ("seed.x=1", "unknown key 'seed.x': seed is a value"),
        ("a b=c", "cannot read 'a b=c' as key=value"),
        ("style=starry_night,great_wave", "names several values; add --multirun"),
    ],
)
def test_a_misspelt_word_is_refused_with_the_nearest(argument: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        check_arguments(conf_dir(), "train", [argument])
    assert message in str(error.value)


def test_every_value_of_a_sweep_is_checked() -> None:
    check_arguments(conf_dir(), "train", ["-m", "style=starry_night,great_wave", "seed=range(3)"])
    with pytest.raises(ValueError, match="did you mean 'great_wave'"):
        check_arguments(conf_dir(), "train", ["-m", "seed=1,2", "style=starry_night,great_wav"])


def test_a_users_own_folder_adds_choices_and_its_misspelt_keys_are_refused(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "good.yaml").write_text("# @package _global_\nstyle_size: 99\n")
    (tmp_path / "experiment" / "bad.yaml").write_text("# @package _global_\nstyle_sise: 99\n")
    check_arguments(conf_dir(), "train", ["--config-dir", str(tmp_path), "experiment=good"])
    with pytest.raises(ValueError, match="unknown key 'style_sise' in the configuration; did you mean 'style_size'"):
        check_arguments(conf_dir(), "train", ["--config-dir", str(tmp_path), "experiment=bad"])
    with pytest.raises(ValueError, match="is no folder"):
        check_arguments(conf_dir(), "train", ["--config-dir", str(tmp_path / "none"), "experiment=good"])


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
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        assert OmegaConf.to_container(compose("optimize", [word])[key]) == expected


def test_a_key_beyond_hydras_grammar_is_refused_with_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"methods\.Größe=.* other names go into braces, as in methods={"):
        check_arguments(conf_dir(), "study_create", ["methods.Größe=photograph"])


def test_a_name_that_is_too_long_for_a_file_is_a_word_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "x" * 246 + ".jpg"
    (tmp_path / name).touch()
    assert prepare_arguments(conf_dir(), "apply", [f"images={name}"]) == [f"images={name}"]


@pytest.mark.parametrize("word", ["logger=csv", "+logger=csv"])
def test_a_group_that_a_command_lacks_is_refused_without_hydras_advice(word: str) -> None:
    with pytest.raises(ValueError, match=r"^unknown key or group 'logger'; known are batch, "):
        check_arguments(conf_dir(), "apply", [word])


def test_jobs_that_would_write_the_same_names_into_one_folder_are_refused() -> None:
    styles = "style=starry_night,great_wave"
    with pytest.raises(ValueError, match=r"^output=x would be that of several jobs; .* 'output=x/\${hydra:job.num}'$"):
        check_arguments(conf_dir(), "apply", ["-m", styles, "output=x"])
    for fine in ([styles, "output=x/${hydra:job.num}"], ["style=great_wave", "images=a,b", "output=x"], [styles]):
        check_arguments(conf_dir(), "apply", ["-m", *fine])
