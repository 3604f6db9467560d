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
    """Write `study.md`, `study.png`, `analysis.json`, and each table and the answers as CSV.

    Args:
        folder: where; it is made.
        study: what was asked.
        analysis: of it.
        answers: all; written with the methods' names, which raters did not see.

    Returns:
        The text of `study.md`.
    """
    for name in ("methods", "comparisons", "pictures", "raters"):
        write_csv(folder / f"{name}.csv", [row._asdict() for row in getattr(analysis, name)])
    write_csv(folder / "answers.csv", [_unblinded(study, answer) for answer in answers])
    told = {"question": study.question.text, "created": study.created}
    write_json(folder / "analysis.json", told | _plain(analysis))
    plot_methods(folder / "study.png", study, analysis)
    text = describe(study, analysis)
    write_text(folder / "study.md", text)
    return text


def _plain(analysis: Analysis) -> dict[str, Any]:
    return {
        key: [row._asdict() for row in value] if isinstance(value, list) else value
        for key, value in analysis._asdict().items()
    }


def _unblinded(study: Study, answer: Answer) -> dict[str, Any]:
    trial = study.sessions[answer.rater - 1][answer.position]
    shown = [study.stimuli[picture] for picture in trial.pictures]
    methods = {f"method_{number}": picture.method or "spoiled" for number, picture in enumerate(shown, start=1)}
    label = study.question.answers[answer.answer]
    return {
        **answer._asdict(),
        "label": label,
        "kind": trial.kind,
        "photograph": shown[0].photograph,
        **methods,
        "expected": trial.expected,
    }


def simulated_note(analysis: Analysis) -> str:
    """Say plainly that raters were simulated; "" where none was."""
    if not analysis.simulated:
        return ""
    return f"SIMULATED: {analysis.simulated} of {len(analysis.raters)} raters are simulated, not people"


def describe(study: Study, analysis: Analysis) -> str:
    """Return the findings as Markdown."""
    note = simulated_note(analysis)
    kept = [rater for rater in analysis.raters if not rater.dropped]
    finished = sum(rater.answered == rater.of for rater in analysis.raters)
    rated = sum(row.answers for row in analysis.methods) // study.question.pictures
    photographs = {stimulus.photograph for stimulus in study.stimuli.values()}
    lines = [
        *([f"**{note}.**", ""] if note else []),
        f'"{study.question.text}" {len(photographs)} photographs; {len(analysis.raters)} of {len(study.sessions)} '
        f"raters have begun, {finished} have finished; {analysis.answers} of {analysis.expected_answers} answers, "
        f"{rated} of them counted (without repeats, catch trials and raters left out).",
        "",
        _methods_table(study, analysis),
        _comparisons_table(analysis),
        f"Shares with Wilson's 95 % intervals, widened as far as raters differ{_strength_note(study)}. "
        "p: two-sided paired permutation test over raters, corrected by Holm for the number of pairs. "
        f"Agreement between raters, Krippendorff's alpha: {_number(analysis.alpha)} (1: all agree; 0: as by chance).",
        "",
        _raters_text(study, analysis, len(kept)),
    ]
    return "\n".join(lines) + "\n"


def _strength_note(study: Study) -> str:
    if study.question.pictures == 1:
        return ""
    return "; strength is Bradley-Terry's, in log-odds against the average method, its interval from resampled raters"


def _methods_table(study: Study, analysis: Analysis) -> str:
    pairs = study.question.pictures == 2
    label = "preferred" if pairs else study.question.answers[1].lower()
    columns = ["method", label, "95 % interval", "answers", *(["strength", "95 % interval"] if pairs else [])]
    lines = []
    for row in analysis.methods:
        line = [row.method, _percent(row.share), _range(_percent(row.low), _percent(row.high)), str(row.answers)]
        if pairs:
            line += [_number(row.strength), _range(_number(row.strength_low), _number(row.strength_high))]
        lines.append(line)
    return markdown(columns, lines)


def _comparisons_table(analysis: Analysis) -> str:
    rows = [
        [f"{row.first} - {row.second}", _percent(row.difference, sign=True), str(row.raters), _p(row.p_corrected)]
        for row in analysis.comparisons
    ]
    return markdown(["comparison", "difference", "raters", "p, corrected"], rows) if rows else ""


def _raters_text(study: Study, analysis: Analysis, kept: int) -> str:
    met = sum(rater.repeats_met for rater in analysis.raters)
    same = sum(rater.repeats_same for rater in analysis.raters)
    catches = sum(rater.catches_met for rater in analysis.raters)
    passed = sum(rater.catches_passed for rater in analysis.raters)
    lines = [f"Raters: {kept} kept of {len(analysis.raters)}; {describe_rule(study.rule)}."]
    if met:
        lines.append(f"Repeats answered as the first time: {same} of {met}.")
    if catches:
        lines.append(f"Catch trials passed: {passed} of {catches}.")
    lines += [f"- rater {rater.rater} left out: {rater.dropped}" for rater in analysis.raters if rater.dropped]
    return "\n".join(lines)


def _percent(share: float | None, *, sign: bool = False) -> str:
    return "-" if share is None else f"{100 * share:{'+' if sign else ''}.1f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _range(low: str, high: str) -> str:
    return "-" if "-" in (low, high) else f"{low.removesuffix(' %')} to {high}"


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
        if value is None:
            continue
        if low is not None and high is not None:
            axis.plot([low, high], [place, place], color=_COLOUR, linewidth=2, solid_capstyle="butt")
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
