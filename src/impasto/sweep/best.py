"""Which trials are best."""

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState


def best_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the best trial, or with several objectives the Pareto front.

    Returns:
        First the most balanced: the nearest to the best of each objective, each scaled to the front's range; empty
        where no trial has finished.
    """
    if not any(trial.state == TrialState.COMPLETE for trial in study.get_trials(deepcopy=False)):
        return []
    front = sorted(study.best_trials, key=lambda trial: trial.number)
    signs = np.array([-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in study.directions])
    values = np.array([trial.values for trial in front]) * signs
    spread = np.ptp(values, axis=0)
    distances = np.linalg.norm((values - values.min(axis=0)) / np.where(spread > 0, spread, 1.0), axis=1)
    return [front[index] for index in np.argsort(distances, kind="stable")[: len(front) if len(signs) > 1 else 1]]
