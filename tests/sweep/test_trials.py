"""Each trial is claimed by one living worker, ended once, and taken over where its worker died."""

import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.pruners import BasePruner, NopPruner, ThresholdPruner
from optuna.samplers import BaseSampler, GridSampler, RandomSampler
from optuna.trial import Trial

from impasto.sweep.search import Objective, Sampling, Space, read_space
from impasto.sweep.trials import Outcome, Sweep, state_of, storage_errors

SPACE = read_space(
    {
        "rate": {"float": [0.001, 1.0], "log": True},
        "width": {"int": [1, 9], "step": 2},
        "style": {"choice": ["a", "b", None]},
    }
)
DEFINITION = {"space": {"rate": {"float": [0.001, 1.0]}}, "train": ["experiment=smoke_train"], "seed": 0}
OBJECTIVES = {"loss": Objective(metric="val/loss", direction="minimize")}
FINISHED = Outcome("finished", {"loss": 1.5}, "", 2.0)
NOBODY = {"pid": 2**22 + 7, "born": 0.0, "seen": 0}  # above Linux's largest number
Opened = Callable[..., Sweep]


def _sweep(storage: str, folder: Path, *, definition: dict[str, Any] = DEFINITION, **options: Any) -> Sweep:
    return Sweep("sweep", storage, folder, OBJECTIVES, definition=definition, **options)


BOTH = pytest.mark.parametrize("opened", ["sqlite:///{}/study.db", "{}/journal.log"], indirect=True)


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens the sweep anew, as another process does; in a journal file unless told, since a database takes longer."""
    name = getattr(request, "param", "{}/journal.log").format(tmp_path)

    def make(
        *,
        total: int = 3,
        definition: dict[str, Any] = DEFINITION,
        space: Space = SPACE,
        pruner: BasePruner | None = None,
        sampler: type[BaseSampler] = RandomSampler,
        folder: Path = tmp_path,
    ) -> Sweep:
        sampling = Sampling(partial(sampler), space, seed=1)
        return _sweep(name, folder, sampling=sampling, pruner=pruner or NopPruner(), total=total, definition=definition)

    return make


def _claimed(trials: Sweep) -> Trial:
    trial = trials.claim()
    assert trial is not None
    return trial


def _set_worker(trials: Sweep, trial: Trial, **changes: Any) -> None:
    trials.give_sign(trial)
    trials.storage.set_trial_user_attr(trial._trial_id, "worker", trial.user_attrs["worker"] | changes)


@BOTH
def test_each_number_is_claimed_once_and_the_total_never_exceeded(opened: Opened) -> None:
    one, two = opened(total=5), opened(total=5)
    claimed = [trials.claim() for trials in (one, two, two, one, two, one, two)]
    assert [None if trial is None else trial.number for trial in claimed] == [0, 1, 2, 3, 4, None, None]
    for trial in claimed[:5]:
        assert trial is not None
        one.end(trial, FINISHED)
    assert two.claim() is None and len(two.study.trials) == 5
    assert all(set(trial.params) == set(SPACE) for trial in two.all())


@BOTH
def test_workers_at_the_same_time_share_the_numbers_out(opened: Opened) -> None:
    numbers: list[int] = []

    def work(trials: Sweep) -> None:
        while (trial := trials.claim()) is not None:
            numbers.append(trial.number)
            trials.end(trial, FINISHED)

    threads = [threading.Thread(target=work, args=(opened(total=8),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(numbers) == list(range(8))


@pytest.mark.parametrize("how", ["dead", "never signed", "given back"])
def test_a_trial_whose_worker_is_gone_is_taken_again_as_it_was(opened: Opened, how: str) -> None:
    before, kept = opened(), opened()
    trial, other = _claimed(before), _claimed(kept)
    if how == "dead":
        _set_worker(before, trial, **NOBODY)
    elif how == "never signed":
        before.storage.set_trial_user_attr(trial._trial_id, "worker", None)
    else:
        before.give_back(trial)
    assert state_of(kept.all()[0]) == "interrupted" and state_of(kept.all()[1]) == "running"
    again = _claimed(opened())
    assert (again.number, again.params) == (0, trial.params)
    assert state_of(kept.all()[0]) == "running"
    third = _claimed(opened())
    assert third.number == 2 and other.number == 1  # a living worker's trial stays its own
    assert opened().claim() is None


def test_a_trial_that_was_only_begun_gets_what_it_would_have_got(opened: Opened, tmp_path: Path) -> None:
    trials = opened()
    trials.study.ask()  # and the worker is killed before it drew any parameter
    again = _claimed(trials)
    expected = optuna.create_study()
    expected.sampler = Sampling(partial(RandomSampler), SPACE, seed=1).of_trial(0)
    assert (again.number, again.params) == (0, expected.ask(dict(SPACE)).params)


def test_a_process_that_got_the_number_later_is_not_the_worker(opened: Opened) -> None:
    trials = opened()
    trial = _claimed(trials)
    _set_worker(trials, trial, born=1.0)
    assert _claimed(trials).number == trial.number


def test_another_machines_trial_is_taken_only_after_its_last_sign_is_old(opened: Opened) -> None:
    trials = opened(total=1)
    trial = _claimed(trials)
    elsewhere = NOBODY | {"host": f"not-{socket.gethostname()}"}
    _set_worker(trials, trial, **elsewhere | {"seen": round(time.time()) - 60})
    assert trials.claim() is None
    _set_worker(trials, trial, **elsewhere | {"seen": round(time.time()) - 600})
    assert _claimed(trials).number == 0


def test_a_sign_keeps_a_trial(opened: Opened) -> None:
    trials = opened(total=1)
    trial = _claimed(trials)
    trials.give_back(trial)
    trials.give_sign(trial)
    assert trials.claim() is None


def test_more_trials_go_on_with_the_same_sweep(opened: Opened) -> None:
    few = opened(total=2)
    first = [_claimed(few), _claimed(few)]
    for trial in first:
        few.end(trial, FINISHED)
    assert few.claim() is None
    assert _claimed(opened(total=3)).number == 2
    assert opened(total=2).claim() is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, "the sweep 'sweep' was begun with another definition: seed was 0 and is 1"),
        ({"train": ["a=b"]}, r'train was \["experiment=smoke_train"\] and is \["a=b"\]'),
    ],
)
def test_another_definition_is_refused_with_the_difference(
    opened: Opened, changed: dict[str, Any], message: str
) -> None:
    opened(definition=DEFINITION)
    with pytest.raises(ValueError, match=message):
        opened(definition=DEFINITION | changed)
    assert opened().study.user_attrs["definition"] == DEFINITION


@BOTH
def test_a_sweep_has_one_folder_which_may_move(opened: Opened, tmp_path: Path) -> None:
    first = opened(folder=tmp_path / "one")
    with pytest.raises(
        ValueError, match=r"two is not the folder of the sweep 'sweep' in this storage; expected the output=, "
    ):
        opened(folder=tmp_path / "two")
    assert _claimed(first).number == 0
    (tmp_path / "one").rename(tmp_path / "moved")
    assert _claimed(opened(folder=tmp_path / "moved")).number == 1


@BOTH
def test_how_a_trial_ended_is_kept(opened: Opened) -> None:
    trials = opened()
    for outcome in (FINISHED, Outcome("pruned", {}, "", 3.0), Outcome("failed", {}, "became nan", 4.0)):
        trials.end(_claimed(trials), outcome)
    found = opened().all()
    assert [state_of(trial) for trial in found] == ["finished", "pruned", "failed"]
    assert [trial.values for trial in found] == [[1.5], None, None]
    assert [trial.user_attrs["seconds"] for trial in found] == [2.0, 3.0, 4.0]
    assert [trial.user_attrs.get("error") for trial in found] == [None, None, "became nan"]
    assert opened().claim() is None  # a failed trial is not tried again


@BOTH
def test_what_ends_twice_keeps_its_first_end(opened: Opened) -> None:
    trials = opened()
    trial = _claimed(trials)
    trials.end(trial, FINISHED)
    trials.end(trial, Outcome("failed", {}, "late", 9.0))
    (found,) = opened().all()
    assert (state_of(found), found.values) == ("finished", [1.5]) and "error" not in found.user_attrs


def test_a_grid_ends_with_its_last_combination(opened: Opened) -> None:
    space = read_space({"a": {"choice": [1, 2]}, "b": {"choice": [0.0, 0.1, 0.2, 0.3]}})
    trials = opened(space=space, sampler=GridSampler, total=8)
    while (trial := trials.claim()) is not None:
        trials.end(trial, FINISHED)
    assert sorted((t.params["a"], t.params["b"]) for t in trials.all()) == [
        (a, b) for a in (1, 2) for b in (0.0, 0.1, 0.2, 0.3)
    ]


@BOTH
def test_a_step_reported_again_keeps_its_first_value(opened: Opened) -> None:
    trials = opened()
    trial = _claimed(trials)
    for step, value in ((2, 5.0), (4, 4.0), (2, 9.0), (6, float("nan"))):
        assert trials.report(trial, step, value) is False
    assert opened().all()[0].intermediate_values == {2: 5.0, 4: 4.0}


def test_a_pruner_ends_a_trial(opened: Opened) -> None:
    trials = opened(pruner=ThresholdPruner(upper=1.0))
    trial = _claimed(trials)
    assert trials.report(trial, 1, 0.5) is False
    assert trials.report(trial, 2, 1.5) is True
    assert trials.report(trial, 2, 0.5) is True  # reported again after a restart


@pytest.mark.parametrize(
    "name",
    ["nonsense://u:secret@h/x", "postgresql+nodriver://u:secret@h/x", "postgresql+psycopg2://u:secret@127.0.0.1:1/x"],
)
def test_a_database_that_cannot_be_used_is_refused_without_its_password(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConnectionError) as error, storage_errors(name):
        _sweep(name, tmp_path, sampling=Sampling(partial(RandomSampler), SPACE, seed=1), pruner=NopPruner(), total=1)
    assert str(error.value).startswith(f"the storage {name.replace('secret', '***')} cannot be used: ")
    assert "secret" not in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("my notes")
    with pytest.raises(ValueError, match=r"notes\.txt is no journal file of Optuna"):
        _sweep(
            str(tmp_path / "notes.txt"),
            tmp_path,
            sampling=Sampling(partial(RandomSampler), SPACE, seed=1),
            pruner=NopPruner(),
            total=1,
        )
    assert (tmp_path / "notes.txt").read_text() == "my notes"


@pytest.mark.parametrize("torn", [b"{", b'{"op_code":2,"worker_id":"a","study_i', b"\0" * 5000])
def test_a_journal_whose_last_line_is_torn_goes_on_without_it(opened: Opened, tmp_path: Path, torn: bytes) -> None:
    journal = tmp_path / "journal.log"
    before = opened()
    whole = journal.read_bytes()
    journal.write_bytes(whole + torn)
    opened().study.set_user_attr("y", 1)
    before.study.set_user_attr("z", 2)
    assert journal.read_bytes().startswith(whole) and opened().study.user_attrs.items() >= {"y": 1, "z": 2}.items()
