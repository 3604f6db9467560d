"""What the scripts of this folder share: how they are called, and where their figures go."""

import argparse
import sys
from pathlib import Path

from hydra import compose
from omegaconf import DictConfig

from impasto.cli import conf_dir
from impasto.evaluation.comparison import Comparison, run_comparison
from impasto.launch.composition import initialize


def parser(description: str) -> argparse.ArgumentParser:
    """Return the arguments that all scripts take: a folder, then words of a command's configuration."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("folder", type=Path, help="of the figures; the same command goes on after Ctrl-C")
    found.add_argument("words", nargs="*", help="key=value")
    found.add_argument("--device", default="cpu")
    return found


def composed(command: str, *words: str) -> DictConfig:
    """Compose a command's configuration."""
    with initialize(conf_dir()):
        return compose(command, list(words))


def measure(comparison: Comparison, arguments: argparse.Namespace) -> None:
    """Measure what is not measured yet, write the files, and print the table."""
    arguments.folder.mkdir(parents=True, exist_ok=True)
    keys = {name: str(value) for name, value in vars(arguments).items()}
    table, _ = run_comparison(
        comparison,
        arguments.folder,
        about={"keys": keys, **comparison.about()},
        resume=True,
        progress=lambda done, name: sys.stderr.write(f"{done}: {name}\n"),
    )
    sys.stdout.write(table.text)
