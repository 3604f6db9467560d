"""Misspelt words are refused with the nearest right one, wherever they stand."""

from pathlib import Path

import pytest

from impasto.cli import conf_dir
from impasto.launch.composition import check_arguments


def test_sweeps_that_only_their_sweeper_can_list_are_left_to_it() -> None:
    check_arguments(conf_dir(), "train", ["-m", "style=glob(*)", "style_size=interval(1,2)"])


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
        ("study_analyse", "studdy=x", "unknown key or group 'studdy'; did you mean 'study'?"),
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
        ("seed.x=1", "unknown key 'seed.x': seed has no keys"),
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


def test_a_key_beyond_hydras_grammar_is_refused_with_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"methods\.Größe=.* other names go into braces, as in methods={"):
        check_arguments(conf_dir(), "study_create", ["methods.Größe=photograph"])


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
