"""One network for many styles by its commands: trained, applied, given one more style, measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from impasto.data import sample_paths

CHELSEA = sample_paths(["chelsea.png"])[0]
TWO = """# @package _global_
# train: Two styles, tiny.
defaults:
  - /style@task.styles.glass: stained_glass
  - /style@task.styles.panes: stained_glass
  - override /network: conditional
  - override /loss: equal_shares
  - override /style: null
network: {width: 2}
task:
  coarse: 1.0
  photographs: 1
  styles: {glass: {name: glass}, panes: {name: panes, draw: {seed: 7, cells: 4}}}
"""
TINY = (
    "logger=csv",
    "style_size=48",
    "data.train_transform.size=40",
    "data.val_transform.size=32",
    "data.batch_size=2",
    "trainer.accelerator=cpu",
    "trainer.max_steps=2",
    "trainer.log_every_n_steps=1",
    "trainer.val_check_interval=2",
    "callbacks.samples.count=1",
    "callbacks.samples.size=48",
)


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(float)


@pytest.fixture
def two(impasto: Callable[..., Any], tmp_path: Path) -> Path:
    """The run folder of a network for two styles."""
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "two.yaml").write_text(TWO)
    result = impasto("train", "--config-dir", "mine", "experiment=two", "system.average=0.5", *TINY)
    assert result.code == 0, result.err
    return Path(result.folder)


@pytest.mark.slow
def test_many_styles_are_trained_sampled_resumed_and_chosen_by_name(two: Path, impasto: Callable[..., Any]) -> None:
    samples = sorted(path.name for path in (two / "samples" / "step_000002").iterdir())
    assert samples == ["astronaut_0.png", "astronaut_1.png"]
    assert "train/coarse" in (two / "metrics.csv").read_text().splitlines()[0]
    resumed = impasto("train", f"resume={two}", "trainer.max_steps=3")
    assert resumed.code == 0, resumed.err
    found = {}
    for name, word in {
        "a": "style=stained_glass",
        "glass": "styles={glass: 1}",
        "both": "styles={glass: 1, panes: 1}",
    }.items():
        result = impasto("apply", CHELSEA, f"run={two}", word, "size=64", f"output={name}", "engine=eager")
        if name == "a":
            assert (result.code, "unknown style 'stained_glass'" in result.err) == (1, True), result.err
        else:
            assert result.code == 0, result.err
            found[name] = _pixels(Path(name) / "chelsea.png")
    assert np.abs(found["glass"] - found["both"]).max() >= 1
    result = impasto("apply", CHELSEA, f"run={two}", "size=64")
    assert (result.code, "this network paints glass, panes; give style=<one of them>" in result.err) == (1, True)
    words = (
        "evaluate",
        "experiment=artefacts",
        "logger=csv",
        "evaluation.size=64",
        f"evaluation.photographs=[{CHELSEA}]",
    )
    compared = impasto(*words, f"evaluation.methods={{ours: '{two}:glass', theirs: glass}}")
    assert compared.code == 0, compared.err
    refused = impasto(*words, f"evaluation.methods={{ours: '{two}:pane'}}")
    assert (refused.code, "methods.ours: unknown style 'pane'" in refused.err) == (1, True)


@pytest.mark.slow
def test_a_training_starts_from_a_network_of_the_same_styles_alone(two: Path, impasto: Callable[..., Any]) -> None:
    words = ("train", "--config-dir", "mine", "experiment=two", f"task.start={two}", *TINY)
    assert impasto(*words).code == 0
    result = impasto(*words, "task.styles.panes.name=others")
    assert (result.code, "does not fit: expected" in result.err, "others" in result.err) == (1, True, True)


@pytest.mark.slow
def test_quickstart_is_one_more_style_in_a_small_file_that_is_applied_and_exported(impasto: Callable[..., Any]) -> None:
    result = impasto("train", *TINY)
    assert result.code == 0, result.err
    file = result.folder / "network.safetensors"
    assert file.stat().st_size < 40_000
    assert impasto("apply", CHELSEA, f"run={result.folder}", "size=64", "output=out", "engine=eager").code == 0
    assert _pixels(Path("out/chelsea.png")).shape == (43, 64, 3)
    exported = impasto("export", f"run={result.folder}", "format=onnx", "output=mine.onnx")
    assert exported.code == 0, exported.err
    refused = impasto("train", *TINY, "task.start=out")
    assert (refused.code, "network=trunk is given one new style" in refused.err) == (1, True)


@pytest.mark.slow
def test_an_optimisation_starts_from_the_network(impasto: Callable[..., Any]) -> None:
    words = (
        "logger=csv",
        "features=pocket",
        "loss=equal_shares",
        "loss.weights.tv=0",
        "style=stained_glass",
        "size=48",
    )
    result = impasto("optimize", CHELSEA, *words, "start=network", "steps=1", "output=out")
    assert result.code == 0, result.err
    painted = impasto(
        "apply", CHELSEA, "style=stained_glass", "size=48", "output=applied", "engine=eager", "precision=fp32"
    )
    assert painted.code == 0, painted.err
    assert np.abs(_pixels(Path("out/chelsea.png")) - _pixels(Path("applied/chelsea.png"))).max() <= 1
