"""impasto evaluate, evaluation=ablations: trains what is missing, keeps what is there, measures what was learned."""

import csv
import json
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from compared import compared
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image

from impasto.cli import conf_dir
from impasto.data import class_folders
from impasto.evaluation import ablations
from impasto.evaluation.ablations import Ablations
from impasto.evaluation.colour import mean_chroma, measure_colorizer, measure_guesses
from impasto.images import read_image, write_image
from impasto.launch.words import prepare_arguments
from impasto.networks import Colorizer, save_network
from impasto.trained import load_run

COLOURS = {"sand": (0.8, 0.7, 0.5), "sea": (0.2, 0.4, 0.7), "wood": (0.2, 0.5, 0.2)}
FIGURES = ["ciede2000", "psnr_ab", "psnr_rgb", "colourfulness", "top1", "top5"]

TRAINING = """
import json, os, pathlib, shutil, signal, sys, time
words, here = sys.argv[1:], pathlib.Path(__file__).parent
if "--cfg" in words:
    sys.exit(0)
with open(here / "words.jsonl", "a") as file:
    file.write(json.dumps(words) + "\\n")
(word,) = [word for word in words if word.startswith(("hydra.run.dir=", "resume="))]
folder = pathlib.Path(word.split("=", 1)[1].strip("'"))
folder.mkdir(parents=True, exist_ok=True)
for name in ("config.yaml", "network.safetensors"):
    shutil.copy(here / "run" / name, folder)
plans = json.loads((here / "plans.json").read_text())
plan = plans.pop(0) if plans else "finish"
(here / "plans.json").write_text(json.dumps(plans))

def end(status, code):
    (folder / "status.json").write_text(json.dumps({"status": status}))
    sys.exit(code)

if plan == "ctrl-c":
    signal.signal(signal.SIGTERM, lambda *_: end("interrupted", 130))
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(60)
if plan == "sigint":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
end(*{"finish": ("finished", 0), "stop": ("interrupted", 130), "fail": ("failed", 1)}[plan])
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Class folders: of each scene three photographs to train on; three of sand, two of sea, one of wood held out."""
    generator = torch.Generator().manual_seed(0)
    root = tmp_path / "my scenes"
    for number, (name, colour) in enumerate(COLOURS.items()):
        for part, count in (("train", 3), ("val", 3 - number)):
            for index in range(count):
                shade = torch.rand(1, 33 + index, 47, generator=generator) * 0.6 + 0.3
                noise = (torch.rand(3, 33 + index, 47, generator=generator) - 0.5) / 10
                photo = shade * torch.tensor(colour)[:, None, None] + noise
                write_image(root / part / name / f"{index}.png", photo.clamp(0, 1))
    return root


def _run(folder: Path, tree: Path, *, seed: int = 0, classes: list[str] | None = None, **weights: float) -> Path:
    """The run folder of a training on the tree."""
    data = {
        "_target_": "impasto.data.Places",
        "root": str(tree),
        "layout": {"_target_": "impasto.data.class_folders", "_partial_": True, "val_part": 0.1, "seed": 0},
        "unlabelled": [],
        "least_chroma": 0.0,
        "train_transform": {"_target_": "impasto.data.RandomCrop", "size": 32, "scale": 0.6, "flip": True},
        "val_transform": {"_target_": "impasto.data.CentreCrop", "size": 32},
        "batch_size": 4,
        "num_workers": 0,
        "seed": 0,
        "val_limit": None,
        "skip": None,
    }
    classes = classes or list(COLOURS)
    arguments = {"width": 2, "channels": 2, "global_size": 32, "mean": 0.5, "global_features": True}
    arguments["classes"] = len(classes)
    card = {
        "system": "colorizer",
        "network": {"class": "Colorizer", **arguments},
        "classes": classes,
        "color_space": "lab",
        "size": 32,
        "steps": 4,
        "loss": {"weights": {"colour": 1.0, "class": 0.00333, "perceptual": 0.0} | weights},
    }
    torch.manual_seed(seed)
    save_network(folder / "network.safetensors", Colorizer(**arguments), card)
    OmegaConf.save({"data": data}, folder / "config.yaml")
    return folder


def _evaluate(folder: Path, *, resume: bool = False, **changed: Any) -> dict[str, Any]:
    """Evaluate in this process; return the figures of the cells by name, those of the guesses among them."""
    keys: dict[str, Any] = {
        "train": [],
        "variants": {},
        "runs": None,
        "count": None,
        "rows": 2,
        "seed": 5,
        "lpips": None,
    }
    keys |= {"folder": str(folder), "data_root": "it's [d]", "logger": None, "build": instantiate, "device": "cpu"}
    comparison = Ablations(**(keys | changed))
    return compared(comparison, folder, resume=resume, count=changed.get("count"))


def _figures(told: dict[str, Any]) -> dict[str, Any]:
    return told["cells"] | told["cells"]["guesses"]


@pytest.fixture
def trainings(tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Replace trainings by a program that ends as planned; returns the words that those so far were given."""
    _run(tmp_path / "run", tree)
    (tmp_path / "train.py").write_text(TRAINING)
    monkeypatch.setattr(ablations, "_TRAIN", (sys.executable, str(tmp_path / "train.py")))

    def plan(*plans: str) -> list[list[str]]:
        (tmp_path / "plans.json").write_text(json.dumps(plans))
        log = tmp_path / "words.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    plan()
    return plan


def _held_out(tree: Path) -> tuple[list[Path], list[int]]:
    val = class_folders(tree, val_part=0.1, seed=0).val
    return [item.path for item in val], [item.label for item in val]


@pytest.mark.slow
def test_variants_are_trained_and_become_a_table(impasto: Callable[..., Any], tree: Path) -> None:
    words = f"evaluation.train=['experiment=smoke_colorizer','data.root={tree}','trainer.max_steps=2']"
    result = impasto("evaluate", "experiment=smoke_ablations", words, "logger=csv", "seed=7")
    assert result.code == 0, result.err
    names = ["class loss only", "local [baseline], colour only"]
    for name in names:
        folder = result.folder / "runs" / name
        assert json.loads((folder / "status.json").read_text())["status"] == "finished"
        config = OmegaConf.load(folder / "config.yaml")
        assert config.seed == 7 and config.logger is None and config.data.root == str(tree)
    with (result.folder / "ablations.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["grey", "mean chroma", *names, "truth"]
    assert [key for key in FIGURES if not rows[names[0]][key]] == FIGURES[:4]
    assert [key for key in FIGURES if not rows[names[1]][key]] == FIGURES[4:]
    assert float(rows["mean chroma"]["top1"]) == 0.5 and rows[names[0]]["steps"] == "2"
    text = (result.folder / "ablations.md").read_text()
    assert (
        text.strip() in result.out and f"| {names[0]} | - | - | - | - | " in text and "6 held-out photographs" in text
    )
    with Image.open(result.folder / "ablations.png") as image:
        assert image.size == (3 * 228 - 4, 2 * 228 - 4)  # grey, the variant that learned colours, truth
    again = impasto("evaluate", f"resume={result.folder}")
    assert again.code == 0 and text.strip() in again.out and "trained already" not in again.out, again.err


@pytest.mark.slow
def test_figures_are_those_of_the_library(tmp_path: Path, tree: Path) -> None:
    runs = {"joint": _run(tmp_path / "a b", tree), "colour": _run(tmp_path / "c", tree, seed=1, **{"class": 0})}
    runs |= {"scenes": _run(tmp_path / "d", tree, seed=2, colour=0)}
    folder = tmp_path / "evaluation"
    told = _evaluate(folder, variants=dict.fromkeys(runs), runs={name: str(path) for name, path in runs.items()})
    paths, labels = _held_out(tree)
    for name, run in runs.items():
        found = measure_colorizer(load_run(run, system="colorizer"), paths, labels)
        for index, key in enumerate(FIGURES):
            learned = name == "joint" or (name == "colour") == (index < 4)
            assert _figures(told)[name].get(key) == (pytest.approx(found[key]) if learned else None)
    train = [item.path for item in class_folders(tree, val_part=0.1, seed=0).train]
    guesses = measure_guesses(paths, labels, mean_chroma(map(read_image, train)))
    for name in ("grey", "mean chroma"):
        assert all(_figures(told)[name][key] == pytest.approx(guesses[name][key]) for key in FIGURES[:4])
    assert _figures(told)["mean chroma"]["top1"] == 0.5 and "top1" not in _figures(told)["grey"]
    assert _figures(told)["truth"]["ciede2000"] == 0 and "psnr_rgb" not in _figures(told)["truth"]
    with Image.open(folder / "ablations.png") as image:
        assert image.size == (4 * 228 - 4, 2 * 228 - 4)
    assert "| truth | 0.00 | - | - | " in (folder / "ablations.md").read_text()


def test_as_many_photographs_are_measured_as_told_spread_over_all(tmp_path: Path, tree: Path) -> None:
    run = _run(tmp_path / "run", tree)
    told = _evaluate(tmp_path / "e", variants={"a": None}, runs={"a": str(run)}, count=2, rows=100)
    paths, labels = _held_out(tree)
    found = measure_colorizer(load_run(run, system="colorizer"), paths[::3], labels[::3])
    assert "2 held-out photographs of 3 scenes" in (tmp_path / "e" / "ablations.md").read_text()
    assert _figures(told)["a"]["ciede2000"] == pytest.approx(found["ciede2000"])
    with Image.open(tmp_path / "e" / "ablations.png") as image:
        assert image.height == 6 * 228 - 4


def test_a_resumed_evaluation_measures_a_network_that_changed(tmp_path: Path, tree: Path) -> None:
    options = {"variants": {"a": None}, "runs": {"a": str(_run(tmp_path / "run", tree))}}
    first = _evaluate(tmp_path / "e", **options)
    assert _evaluate(tmp_path / "e", resume=True, **options) == first
    _run(tmp_path / "run", tree, seed=9)
    second = _evaluate(tmp_path / "e", resume=True, **options)
    assert second["cells"]["a"] != first["cells"]["a"] and second["cells"]["guesses"] == first["cells"]["guesses"]


def test_words_reach_the_training_as_they_are_meant(tmp_path: Path, trainings: Callable[..., list[list[str]]]) -> None:
    folder = tmp_path / "it's an evaluation (1), a=b"
    variants = {"local [x] y": ["network.width=4", "seed=1"], "one": "loss=iizuka2016_rare", "nothing": None}
    trainings("stop")
    with pytest.raises(KeyboardInterrupt):
        _evaluate(folder, train=["experiment=smoke_colorizer"], variants=variants)
    ((*words, place),) = trainings()
    assert words == ["data_root=it's [d]", "seed=5", "logger=csv", "experiment=smoke_colorizer", *words[4:]]
    assert words[4:] == ["network.width=4", "seed=1"]
    assert place == f"hydra.run.dir={folder}/runs/local [x] y"
    for word in (place, f"data_root={folder}"):  # what is there is quoted for Hydra by the command line itself
        (prepared,) = prepare_arguments(conf_dir(), "train", [word])
        (parsed,) = OverridesParser.create().parse_overrides([prepared])
        assert f"{parsed.key_or_group}={parsed.value()}" == word


def test_an_interrupted_evaluation_keeps_what_is_trained(
    tmp_path: Path, trainings: Callable[..., list[list[str]]]
) -> None:
    folder, options = tmp_path / "e", {"train": "a=b", "variants": dict.fromkeys(["one", "two", "three"])}
    trainings("finish", "stop")
    with pytest.raises(KeyboardInterrupt):
        _evaluate(folder, **options)
    assert len(trainings()) == 2
    _evaluate(folder, resume=True, **options)
    words = trainings()[2:]
    assert words[0] == [f"resume={folder}/runs/two"]
    assert len(words) == 2 and words[1][-1] == f"hydra.run.dir={folder}/runs/three" and "a=b" in words[1]


@pytest.mark.parametrize("plan", ["ctrl-c", "sigint"])
def test_ctrl_c_lets_the_training_save_and_says_how_to_go_on(
    plan: str, tmp_path: Path, trainings: Callable[..., list[list[str]]]
) -> None:
    trainings(plan)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            _evaluate(tmp_path / "e", variants={"one": None, "two": None})
    finally:
        signal.signal(signal.SIGINT, before)
    if plan == "ctrl-c":
        assert json.loads((tmp_path / "e/runs/one/status.json").read_text())["status"] == "interrupted"
    assert len(trainings()) == 1


def test_a_training_that_fails_is_named(tmp_path: Path, trainings: Callable[..., list[list[str]]]) -> None:
    trainings("finish", "fail")
    with pytest.raises(ValueError, match="the training of 'two' failed with exit code 1; its words: ") as error:
        _evaluate(tmp_path / "e", variants=dict.fromkeys(["one", "two", "three"]))
    assert "\n" not in str(error.value) and len(trainings()) == 2


def test_a_misspelt_word_is_refused_before_any_training(tmp_path: Path) -> None:
    variants = {"wrong": ["network.widht=4"]}
    with pytest.raises(ValueError, match=r"^variant 'wrong': unknown key .*network\.widht.* did you mean") as error:
        _evaluate(tmp_path / "e", train=["experiment=smoke_colorizer"], variants=variants)
    assert "\n" not in str(error.value) and not (tmp_path / "e" / "runs").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"variants": {"grey": None}}, "'grey' cannot name a variant"),
        ({"runs": {"nothing": "run"}}, "evaluation.runs names 'nothing'; expected one of joint, 2"),
        ({"runs": {"joint": "nowhere"}}, "no run folder nowhere"),
        ({"runs": {"joint": "run/config.yaml"}}, "run/config.yaml is not a safetensors file"),
    ],
)
def test_bad_input_is_one_sentence_before_any_training(
    tmp_path: Path,
    trainings: Callable[..., list[list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError), match=re.escape(message)) as error:
        _evaluate(tmp_path / "e", **({"variants": {"joint": None, 2: None}} | changed))
    assert "\n" not in str(error.value) and not trainings()


def test_a_run_of_other_scenes_is_refused(tmp_path: Path, tree: Path) -> None:
    runs = {"a": str(_run(tmp_path / "a", tree)), "b": str(_run(tmp_path / "b", tree, classes=["x", "y"]))}
    with pytest.raises(ValueError, match=r"b was trained on other scenes than those of .*my scenes"):
        _evaluate(tmp_path / "e", variants=dict.fromkeys(runs), runs=runs)


@pytest.mark.slow
def test_a_network_file_is_measured_beside_a_run_and_not_alone(tmp_path: Path, tree: Path) -> None:
    run = _run(tmp_path / "run", tree)
    (tmp_path / "files").mkdir()
    file = shutil.copy(run / "network.safetensors", tmp_path / "files" / "mine.safetensors")
    runs = {"file": str(file), "run": str(run)}
    told = _evaluate(tmp_path / "e", variants=dict.fromkeys(runs), runs=runs)
    assert _figures(told)["file"] == _figures(told)["run"]
    with pytest.raises(FileNotFoundError, match=r"files/config\.yaml; expected the run folder of an 'impasto train'"):
        _evaluate(tmp_path / "f", variants={"file": None}, runs={"file": str(file)})


def test_a_broken_photograph_is_named(tmp_path: Path, tree: Path) -> None:
    run = _run(tmp_path / "run", tree)
    (tree / "val" / "sea" / "0.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"sea/0\.png is not an image that can be read"):
        _evaluate(tmp_path / "e", variants={"a": None}, runs={"a": str(run)})


@pytest.mark.slow
def test_the_table_is_in_wandb(tmp_path: Path, impasto: Callable[..., Any], tree: Path) -> None:
    run = _run(tmp_path / "run", tree, **{"class": 0})
    words = ("~evaluation.variants", "+evaluation.variants={joint \\(Lab\\):[]}", "evaluation.count=1")
    result = impasto("evaluate", "experiment=smoke_ablations", *words, f"evaluation.runs={{joint \\(Lab\\):{run}}}")
    assert result.code == 0, result.err
    (table,) = (result.folder / "wandb").rglob("media/table/evaluate/*.table.json")
    held = json.loads(table.read_text())
    assert [row[held["columns"].index("variant")] for row in held["data"]][2] == "joint (Lab)"
    assert list((result.folder / "wandb").rglob("media/images/evaluate/*.png"))
