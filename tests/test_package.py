"""What is installed is complete: configuration and weights are in the wheel, and nothing that must not be published."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_whole_configuration(wheel: list[str]) -> None:
    expected = {f"impasto/conf/{p.relative_to(ROOT / 'conf').as_posix()}" for p in (ROOT / "conf").rglob("*.yaml")}
    assert expected <= set(wheel)


def test_the_wheel_holds_the_shipped_weights(wheel: list[str]) -> None:
    weights = ROOT / "src/impasto/weights"
    expected = {f"impasto/weights/{p.relative_to(weights).as_posix()}" for p in weights.rglob("*.safetensors")}
    assert len([name for name in expected if name.startswith("impasto/weights/stylizer/")]) >= 1
    assert expected <= set(wheel)


def test_no_scan_of_a_painting_and_no_run_is_in_git() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    pictures = [f for f in files if f.lower().endswith((".jpg", ".jpeg", ".png", ".webp", ".tif"))]
    assert all(f.startswith(("docs/", "src/impasto/app/styles/")) for f in pictures)
    assert [f for f in files if f.startswith("outputs/")] in ([], ["outputs/.gitkeep"])
    assert not [f for f in files if f.endswith((".ckpt", ".pth", ".pt"))]


def test_every_dependency_says_why_it_is_there() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    for requirement in [*project["dependencies"], *extras]:
        lines = [line for line in text.splitlines() if f'"{requirement}"' in line]
        assert lines and all("#" in line for line in lines), f"{requirement} has no reason beside it"
