"""The page that a sweep ends in: a contact sheet of all trials, plots and figures, in one HTML file."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from impasto.files import whole_file
from impasto.report.charts import as_json, plain_curve
from impasto.report.curves import Curve, thin
from impasto.report.rendering import render_page
from impasto.report.sweep_charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, make_plots
from impasto.report.sweep_rows import Gallery, add_pictures, make_rows
from impasto.report.sweep_shown import SweepShown, TrialShown, upward, value_of
from impasto.report.texts import clean, number

LARGEST = 20_000_000  # bytes of the page
_PICTURES = 15_000_000  # bytes of all pictures at most: four of each of 300 trials
_MOST_POINTS = 60_000  # of all learning curves
_POINTS = (20, 400)  # of a learning curve
_SCRIPTS = ("table.js", "scales.js", "curves.js", "compare.js", "sweep.js")
_STATES = ("finished", "running", "waiting", "pruned", "interrupted", "failed")
_LONGEST_TEXT = 4_000  # of a command or a fact
_MOST_FACTS = 40


def write_sweep_page(sweep: SweepShown, path: Path) -> None:
    """Write one HTML file about a sweep.

    Args:
        sweep: as it stands; it need not be complete.
        path: of the file; it is whole or as it was before.

    Raises:
        OSError: the file cannot be written.
    """
    page = _Page(sweep)
    page.add_pictures()
    data = page.html()
    assert len(data) <= LARGEST, f"{len(data)} bytes"
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


class _Page:
    """Everything that the template is given.

    Args:
        sweep: as it stands.
    """

    def __init__(self, sweep: SweepShown) -> None:
        self.rows = make_rows(sweep)
        shown: Sequence[TrialShown] = [row.trial for row in self.rows]
        self.left_out = len(sweep.trials) - len(shown)
        self.sweep = replace(sweep, trials=shown)
        self.name = clean(sweep.name)[:300]
        self.state, self.best = tell_state(sweep), tell_best(sweep)
        self.chips = _counts(sweep)
        self.plots = make_plots(self.sweep)
        self.gallery = Gallery()
        self.commands = [
            (told, clean(line)[:_LONGEST_TEXT])
            for told, line in (("Run the best trial again", sweep.rerun), ("Go on with the sweep", sweep.go_on))
            if line
        ]
        facts = list(sweep.facts.items())[:_MOST_FACTS]
        self.facts = [(clean(name)[:200], clean(value)[:_LONGEST_TEXT]) for name, value in facts]
        self.objectives = [(clean(name)[:200], upward(sweep, name)) for name in list(sweep.objectives)[:8]]
        self.first = clean(next(iter(sweep.objectives), ""))[:80]
        self.lines, self.curves, self.colours = self._learning()

    def _learning(self) -> tuple[Markup, Markup, dict[int, int]]:
        """The learning curves of the trials, as the script of the report's curves takes them."""
        found = [
            (row.trial.number, [(step, float(value)) for step, value in self.sweep.intermediate[row.trial.number]])
            for row in sorted(self.rows, key=lambda row: row.trial.number)
            if self.sweep.intermediate.get(row.trial.number)
        ]
        points = max(_POINTS[0], min(_POINTS[1], _MOST_POINTS // max(1, len(found))))
        lines = [[trial, colour, f"trial {trial}", ""] for colour, (trial, _) in enumerate(found)]
        curves = []
        for line, (_, pairs) in enumerate(found):
            steps, values = zip(*pairs, strict=True)
            curves.append(plain_curve(line, thin(Curve(array("d", steps), array("d", values)), points)))
        return as_json(lines), as_json(curves), {trial: colour for colour, (trial, _) in enumerate(found)}

    def add_pictures(self) -> None:
        """Fill what the page has left with pictures."""
        room = min(_PICTURES, LARGEST - len(self.html()) - 100_000)
        self.gallery = add_pictures(self.rows, max(0, room))

    def html(self) -> bytes:
        """The page as it stands."""
        geometry: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "top": TOP}
        return render_page(
            "sweep.html.j2",
            styles=("report.css", "sweep.css"),
            scripts=_SCRIPTS,
            page=self,
            panel_size=geometry | {"right": WIDTH - RIGHT, "bottom": HEIGHT - BOTTOM},
        )


def _counts(sweep: SweepShown) -> dict[str, int]:
    found = Counter(trial.state for trial in sweep.trials)
    return {state: found[state] for state in _STATES if found[state]}


def tell_state(sweep: SweepShown) -> str:
    """Say how far a sweep is: `"20 of 24 trials: 16 finished, 3 pruned, 1 failed"`."""
    count = len(sweep.trials)
    begun = (
        f"{count} trial{'' if count == 1 else 's'}" if count >= sweep.wanted else f"{count} of {sweep.wanted} trials"
    )
    told = ", ".join(f"{count} {state}" for state, count in _counts(sweep).items())
    return f"{begun}: {told}" if told else begun


def tell_best(sweep: SweepShown) -> str:
    """Say which trial is the best, and its values: `"best: trial 7, val/loss 0.123"`; "" where there is none."""
    front = sum(trial.best for trial in sweep.trials)
    best = next((trial for trial in sweep.trials if trial.number == sweep.best), None)
    if best is None:
        return ""
    values = [(name, value_of(best, name)) for name in list(sweep.objectives)[:8]]
    told = ", ".join(f"{clean(name)[:80]} {number(value)}" for name, value in values if value is not None)
    several = f"; {front} trials on the Pareto front" if len(sweep.objectives) > 1 and front > 1 else ""
    return f"best: trial {best.number}{', ' if told else ''}{told}{several}"
