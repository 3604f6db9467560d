"""The schemas of conf/: as the script writes them, true of every file, and of use against mistakes."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from referencing import Registry, Resource

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import schema  # noqa: E402

WRITTEN: dict[str, Any] = {
    path.stem: json.loads(path.read_text()) for path in (ROOT / "docs" / "schema").glob("*.json")
}
FILES = [path for path in sorted(schema.CONF.rglob("*.yaml")) if schema.schema_of(path) in WRITTEN]


def _mistakes(name: str, text: str) -> list[str]:
    known: Any = Registry().with_resources(
        (f"{key}.json", Resource.from_contents(found)) for key, found in WRITTEN.items()
    )
    return [error.message for error in Draft7Validator(WRITTEN[name], registry=known).iter_errors(yaml.safe_load(text))]


def test_the_schemas_are_those_that_the_script_writes() -> None:
    assert json.loads(json.dumps(schema.schemas())) == WRITTEN, "run python docs/schema.py"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_file_names_its_schema_and_keeps_to_it(path: Path) -> None:
    text = path.read_text()
    (named,) = [line.removeprefix(schema.MODELINE) for line in text.splitlines() if line.startswith(schema.MODELINE)]
    assert (path.parent / named).resolve() == ROOT / "docs" / "schema" / f"{schema.schema_of(path)}.json"
    assert not _mistakes(schema.schema_of(path), text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("apply", "strenght: 0.5"),
        ("apply", "batch: 0"),
        ("apply", "overwrite: often"),
        ("train", "data: {batchsize: 4}"),
        ("train", "system: {optimizer: {lr: high}}"),
        ("evaluate", "evaluation: {_target_: impasto.evaluation.super_resolution.SuperResolution, factor: 4}"),
        ("optimize", "save_every: -1"),
    ],
)
def test_a_mistake_is_found(name: str, text: str) -> None:
    assert _mistakes(name, text)


@pytest.mark.parametrize(
    "text", ["batch: ${oc.env:BATCH}", "images: photo.jpg", "size: null", "hydra: {run: {dir: x}}"]
)
def test_what_hydra_takes_is_no_mistake(text: str) -> None:
    assert not _mistakes("apply", text)
