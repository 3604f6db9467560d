"""An analysis as text, tables and a plot."""

from pathlib import Path
from typing import Any

from impasto.files import whole_file, write_text
from impasto.study.analysis import Analysis
from impasto.study.answers import Answer
from impasto.study.plan import Study
from impasto.study.raters import describe_rule
from impasto.tables import markdown, write_csv, write_json

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
    note, raters = simulated_note(analysis), analysis.raters
    finished = sum(rater.answered == rater.of for rater in raters)
    rated = sum(row.answers for row in analysis.methods) // study.question.pictures
    photographs = {stimulus.photograph for stimulus in study.stimuli.values()}
    comparisons = [
        [f"{row.first} - {row.second}", _percent(row.difference, sign="+"), str(row.raters), _p(row.p_corrected)]
        for row in analysis.comparisons
    ]
    strength = "strength is Bradley-Terry's, in log-odds against the average method, its interval from resampled raters"
    lines = [
        *([f"**{note}.**", ""] if note else []),
        f'"{study.question.text}" {len(photographs)} photographs; {len(raters)} of {len(study.sessions)} '
        f"raters have begun, {finished} have finished; {analysis.answers} of {analysis.expected_answers} answers, "
        f"{rated} of them counted (without repeats, catch trials and raters left out).",
        "",
        _methods_table(study, analysis),
        markdown(["comparison", "difference", "raters", "p, corrected"], comparisons) if comparisons else "",
        "Shares with Wilson's 95 % intervals, widened as far as raters differ"
        f"{f'; {strength}' if study.question.pictures == 2 else ''}. "
        "p: two-sided paired permutation test over raters, corrected by Holm for the number of pairs. "
        f"Agreement between raters, Krippendorff's alpha: {_number(analysis.alpha)} (1: all agree; 0: as by chance).",
        "",
        f"Raters: {sum(not rater.dropped for rater in raters)} kept of {len(raters)}; {describe_rule(study.rule)}.",
    ]
    if met := sum(rater.repeats_met for rater in raters):
        lines.append(f"Repeats answered as the first time: {sum(rater.repeats_same for rater in raters)} of {met}.")
    if met := sum(rater.catches_met for rater in raters):
        lines.append(f"Catch trials passed: {sum(rater.catches_passed for rater in raters)} of {met}.")
    lines += [f"- rater {rater.rater} left out: {rater.dropped}" for rater in raters if rater.dropped]
    return "\n".join(lines) + "\n"


def _methods_table(study: Study, analysis: Analysis) -> str:
    pairs = study.question.pictures == 2
    label = "preferred" if pairs else study.question.answers[1].lower()
    columns = ["method", label, "95 % interval", "answers", *(["strength", "95 % interval"] if pairs else [])]
    lines = []
    for row in analysis.methods:
        interval = "-" if row.low is None else f"{_percent(row.low).removesuffix(' %')} to {_percent(row.high)}"
        lines.append([row.method, _percent(row.share), interval, str(row.answers)])
        if pairs:
            ends = "-" if row.strength_low is None else f"{_number(row.strength_low)} to {_number(row.strength_high)}"
            lines[-1] += [_number(row.strength), ends]
    return markdown(columns, lines)


def _percent(share: float | None, *, sign: str = "") -> str:
    return "-" if share is None else f"{100 * share:{sign}.1f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


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
