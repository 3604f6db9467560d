"""README and docs/: their commands compose, the files that they name exist, the reference has every key."""

import importlib.util
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from conftest import Result
from omegaconf import OmegaConf

from impasto.data import sample_path
from impasto.launch.help import choices

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"(?<![`\w])`(impasto [^`\n]+)`")
_FILE = re.compile(r"(?<![\w/.-])((?:src/impasto|docs|conf|tests|notebooks|\.ci)/[\w./-]*\w)")


def _blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


def _commands(page: Path) -> Iterator[list[str]]:
    """The words behind each `impasto` of a page: names for placeholders, no `resume=`, whose run would have to be."""
    lines = [line for block in _blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    lines += _INLINE.findall(page.read_text(encoding="utf-8"))
    for line in lines:
        for part in line.split("&&"):
            words = shlex.split(re.sub(r"<[^<>]*>", "given", part), comments=True)
            if words[:1] == ["impasto"] and words[1:2] != ["given"] and "--config-dir" not in words:
                yield [_single(word) for word in words[1:] if not word.startswith(("resume=", "--multirun"))]


def _single(word: str) -> str:
    """The first value of several, since `--multirun` and `--cfg` exclude each other; a list keeps its commas."""
    return word if re.search(r"[\[{\"]", word) else word.partition(",")[0]


def _unique(pages: list[Path]) -> list[list[str]]:
    return list({tuple(words): words for page in pages for words in _commands(page)}.values())


@pytest.mark.slow
@pytest.mark.parametrize("words", _unique(PAGES), ids=shlex.join)
def test_commands_compose(impasto: Callable[..., Result], words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.launch.start.run_hydra", lambda conf: None)  # which composes it a second time
    result = impasto(*words)
    assert result.code == 0, f"impasto {shlex.join(words)}: {result.err}"


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "python")], ids=lambda page: page.stem)
def test_the_python_of_the_guides_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(sample_path("rocket.jpg"), "photo.jpg")
    for block in _blocks(page, "python"):
        exec(compile(block, str(page), "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    named = set(_FILE.findall(page.read_text(encoding="utf-8")))
    assert not [name for name in named if not (ROOT / name).exists()]


def test_readme_is_short() -> None:
    text = PAGES[0].read_bytes()
    assert len(text.splitlines()) <= 250 and len(text) <= 16_000


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs/reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_every_key_of_every_command(reference: ModuleType) -> None:
    for command in reference._commands():
        page = reference._command_page(command)
        keys = set(map(str, OmegaConf.load(ROOT / "conf" / f"{command}.yaml"))) - {"defaults", "hydra"}
        assert not [key for key in keys if f"`{key}" not in page], command


def test_the_reference_has_every_choice_and_every_experiment_of_users(reference: ModuleType) -> None:
    pages = "".join(reference._command_page(command) for command in reference._commands())
    for path in (ROOT / "conf/experiment").glob("[!_]*.yaml"):
        assert f"| `{path.stem}` |" in pages or ": For the tests" in path.read_text(encoding="utf-8")
    for group in reference._groups():
        page = reference._group_page(group)
        assert all(f"## {name} " in page for name in choices(ROOT / "conf", group))
