"""An analysis as text, tables and a plot."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from impasto.files import whole_file, write_text
from impasto.study.analysis import Analysis
from impasto.study.answers import Answer
from impasto.study.folder import Study
from impasto.tables import write_csv, write_json

_DPI = 110
_COLOUR = "#0b5394"


def write_findings(folder: Path, study: Study, analysis: Analysis, answers: list[Answer]) -> str:
    """Write `study.md`, whose text comes back, `study.png`, `analysis.json`, and each table and the answers as CSV."""
    found = analysis._asdict()
    for name in ("methods", "comparisons", "pictures", "raters"):
        found[name] = [row._asdict() for row in found[name]]
        write_csv(folder / f"{name}.csv", found[name])
    write_csv(folder / "answers.csv", [_unblinded(study, answer) for answer in answers])
    write_json(folder / "analysis.json", {"question": study.question.text, "created": study.created, **found})
    plot_methods(folder / "study.png", study, analysis)
    text = describe(study, analysis)
    write_text(folder / "study.md", text)
    return text


def _unblinded(study: Study, answer: Answer) -> dict[str, Any]:
    """Return an answer with the names of the methods, which the rater did not see."""
    trial = study.sessions[answer.rater - 1][answer.position]
    shown = [study.stimuli[picture] for picture in trial.pictures]
    return {
        **answer._asdict(),
        "label": study.question.answers[answer.answer],
        "kind": trial.kind,
        "photograph": shown[0].photograph,
        **{f"method_{number}": picture.method or "spoiled" for number, picture in enumerate(shown, start=1)},
        "expected": trial.expected,
    }


def simulated_note(analysis: Analysis) -> str:
    """Say plainly that raters were simulated; "" where none was."""
    if not analysis.simulated:
        return ""
    return f"SIMULATED: {analysis.simulated} of {len(analysis.raters)} raters are simulated, not people"


def describe(study: Study, analysis: Analysis) -> str:
    """Return the findings as Markdown."""
    texts = Environment(
        loader=PackageLoader("impasto.study"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return texts.get_template("study.md.j2").render(
        study=study,
        analysis=analysis,
        rule=study.rule,
        note=simulated_note(analysis),
        pairs=study.question.pictures == 2,
        photographs=len({stimulus.photograph for stimulus in study.stimuli.values()}),
        finished=sum(rater.answered == rater.of for rater in analysis.raters),
        rated=sum(row.answers for row in analysis.methods) // study.question.pictures,
    )


def plot_methods(path: Path, study: Study, analysis: Analysis) -> None:
    """Draw each method's share, or strength where pairs were shown, with its 95 % interval."""
    from matplotlib.figure import Figure  # seconds to import

    pairs = study.question.pictures == 2
    rows = list(reversed(analysis.methods))
    figure = Figure(figsize=(6.5, 1.6 + 0.42 * len(rows)), layout="constrained", dpi=_DPI)
    axis = figure.subplots()
    for place, row in enumerate(rows):
        value, low, high = (
            (row.strength, row.strength_low, row.strength_high) if pairs else (row.share, row.low, row.high)
        )
        if low is not None and high is not None:
            axis.plot([low, high], [place, place], color=_COLOUR, linewidth=2, solid_capstyle="butt")
        if value is not None:
            axis.plot(value, place, "o", color=_COLOUR)
    axis.set_yticks(range(len(rows)), [row.method for row in rows], parse_math=False)
    axis.set_ylim(-0.6, len(rows) - 0.4)
    axis.grid(visible=True, axis="x", alpha=0.25)
    if pairs:
        axis.set_xlabel("strength: log-odds against the average method, 95 % interval")
    else:
        axis.set(xlim=(-0.02, 1.02), xlabel=f'share of "{study.question.answers[1]}", 95 % interval')
    title = f"{study.question.text}\n{simulated_note(analysis)}".strip()
    axis.set_title(title, fontsize=9, parse_math=False)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
