"""impasto benchmark: the evaluations whose figures are seconds, on this machine."""

from impasto.commands.evaluate import run

__all__ = ["run"]
