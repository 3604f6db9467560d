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
    """Settings whose values differ among the runs of one command."""

    command: str
    runs: list[int]  # their numbers
    rows: dict[str, list[Value]] = field(default_factory=dict)  # by key, a value for each run
    same: int = 0  # keys with the same value in all
    left_out: int = 0  # keys that differ and are not shown


def find_differences(runs: Sequence[Run], allowance: Allowance) -> list[Differences]:
    """Compare the configurations of the runs of each command, in tables of so many bytes."""
    found = []
    for command in dict.fromkeys(run.command for run in runs if run.settings):
        numbers = [i for i, run in enumerate(runs) if run.settings and run.command == command]
        table = Differences(command, numbers)
        for key in dict.fromkeys(key for i in numbers for key in runs[i].settings):
            values = [runs[i].settings.get(key, "not set") for i in numbers]
            most, count = Counter(values).most_common(1)[0]
            if count == len(values):
                table.same += 1
            elif sum(map(len, values)) + len(key) > allowance.left:
                table.left_out += 1
            else:
                usual = {most} if 2 * count > len(values) else set(values)
                table.rows[key] = [Value(allowance.cut(v, 200, where="config.yaml"), v not in usual) for v in values]
        if len(numbers) > 1:
            found.append(table)
    return found


def unusual_facts(runs: Sequence[Run]) -> list[set[str]]:
    """Say of each run which of its facts differ from those of more than half of all runs."""
    found = Counter(item for run in runs for item in run.facts.items())
    having = Counter(key for run in runs for key in run.facts)
    return [{key for key, value in run.facts.items() if 2 * found[key, value] <= having[key]} for run in runs]
