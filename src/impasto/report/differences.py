"""What differs between runs: their configurations, and their environments."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from impasto.report.record import Run
from impasto.report.texts import Allowance


class Value(NamedTuple):
    """A value of one run, and whether most of the others have another."""

    text: str
    unusual: bool


@dataclass
class Differences:
    """Settings whose values differ among the runs of one command.

    Attributes:
        command: of impasto.
        runs: their numbers.
        rows: by key, a value for each run.
        same: how many keys have the same value in all.
        left_out: keys that differ and are not shown.
    """

    command: str
    runs: list[int]
    rows: dict[str, list[Value]] = field(default_factory=dict)
    same: int = 0
    left_out: int = 0


def find_differences(runs: Sequence[Run], allowance: Allowance) -> list[Differences]:
    """Compare the configurations of the runs of each command.

    Args:
        runs: all runs.
        allowance: bytes that all the tables may take.
    """
    found = []
    for command in dict.fromkeys(run.command for run in runs if run.settings):
        numbers = [i for i, run in enumerate(runs) if run.settings and run.command == command]
        if len(numbers) > 1:
            found.append(_compared(command, numbers, [runs[i].settings for i in numbers], allowance))
    return found


def _compared(command: str, numbers: list[int], settings: list[dict[str, str]], allowance: Allowance) -> Differences:
    table = Differences(command, numbers)
    for key in dict.fromkeys(key for one in settings for key in one):
        values = [one.get(key, "not set") for one in settings]
        if len(set(values)) == 1:
            table.same += 1
        elif sum(map(len, values)) + len(key) > allowance.left:
            table.left_out += 1
        else:
            most, count = Counter(values).most_common(1)[0]
            table.rows[key] = [
                Value(allowance.cut(v, 200, where=""), 2 * count > len(values) and v != most) for v in values
            ]
    return table


def unusual_facts(runs: Sequence[Run]) -> list[set[str]]:
    """Say of each run which of its facts differ from those of more than half of all runs."""
    found = Counter(item for run in runs for item in run.facts.items())
    having = Counter(key for run in runs for key in run.facts)
    return [{key for key, value in run.facts.items() if 2 * found[key, value] <= having[key]} for run in runs]
