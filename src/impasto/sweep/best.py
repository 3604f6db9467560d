"""Which trial is best, and which parameters mattered."""

import warnings
from collections.abc import Sequence

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

_FEWEST = 4  # finished trials from which importances say anything


def best_trials(study: Study) -> list[FrozenTrial]:
    """Return the best trial, or with several objectives the Pareto front, in the order of their numbers."""
    if not any(trial.state == TrialState.COMPLETE for trial in study.get_trials(deepcopy=False)):
        return []
    found = [study.best_trial] if len(study.directions) == 1 else study.best_trials
    return sorted(found, key=lambda trial: trial.number)


def best_of(front: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> FrozenTrial | None:
    """Choose one trial of a Pareto front: the nearest to the best of each objective, each scaled to the front's range.

    Args:
        front: trials of which none is better than another in all objectives.
        directions: of the objectives.

    Returns:
        The trial; of equals the first; None of an empty front.
    """
    if not front:
        return None
    signs = np.array([-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in directions])
    values = np.array([trial.values for trial in front]) * signs
    spread = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    return front[int(np.argmin(np.linalg.norm(scaled, axis=1)))]


def importances(study: Study, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return each parameter's share of what decides whether a trial is among the better ones (PED-ANOVA).

    Args:
        study: the sweep.
        names: of its objectives.

    Returns:
        By objective, shares in [0, 1] by parameter; empty with fewer than four finished trials, or where the trials
        tell nothing.

    Source:
        Watanabe, Bansal, Hutter 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
        Subspaces".
    """
    finished = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    if len(finished) < _FEWEST:
        return {}
    found = {}
    for index, name in enumerate(names):

        def target(trial: FrozenTrial, index: int = index) -> float:
            return float(trial.values[index])

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.simplefilter("ignore", UserWarning)
            try:
                shares = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), target=target)
            except (ValueError, RuntimeError):  # all trials alike
                continue
        found[name] = {key: float(share) for key, share in shares.items() if np.isfinite(share)}
    return found
