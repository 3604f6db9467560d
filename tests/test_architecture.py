"""Modules import from the rows above their own, never sideways; heavy libraries stay in their rooms."""

import ast
from pathlib import Path

import pytest

import impasto

ROOT = Path(impasto.__file__).parent
ROWS = [
    ["redaction"],
    ["suggest", "chance", "files", "strips", "hardware", "group", "memory", "srgb"],
    ["run_folders"],
    ["listing"],
    ["images", "color", "tables", "resampling"],
    ["networks", "styles"],
    ["features"],
    ["losses", "tracking", "colorization"],
    ["data"],
    ["systems", "gatys", "engines"],
    ["trained"],
    ["methods"],
    ["video"],
    ["evaluation", "study", "report", "sweep"],
    ["app", "pipeline", "build"],
    ["launch"],
    ["commands"],
    ["cli"],
]
ROW = {room: number for number, rooms in enumerate(ROWS) for room in rooms}
ALLOWED = {
    "lightning": {"data", "systems", "tracking", "build", "launch", "commands"},
    "hydra": {"trained", "build", "launch", "commands"},
    "omegaconf": {"trained", "build", "launch", "commands"},
    "wandb": {"tracking"},
}
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or ""} if node.module != "impasto" else {f"impasto.{a.name}" for a in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_up(path: Path) -> None:
    for name in _imports(path):
        package, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if package == "impasto" and target in ROW and target != _room(path):
            assert ROW[target] < ROW[_room(path)], f"{path} imports {name}"
        if package in ALLOWED:
            assert _room(path) in ALLOWED[package], f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short_and_print_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 260
    calls = [n.func.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    assert "print" not in calls
