"""Laws of the design: balanced exactly over a whole cycle, the same from the same seed, and nothing shown twice."""

from collections import Counter
from itertools import combinations
from typing import Any, NamedTuple

import pytest

from impasto.study.design import conditions, design_sessions
from impasto.study.folder import CATCH, RATED, REPEAT, Kind, Trial

LAYOUTS = [(methods, 1) for methods in range(1, 7)] + [(methods, 2) for methods in range(2, 7)]
PHOTOGRAPHS = [1, 3, 8, 23]


class Slot(NamedTuple):
    """A trial by the numbers of its photograph and methods."""

    kind: Kind
    photograph: int
    methods: tuple[int | None, ...]
    of: int | None
    expected: int | None


def _name(photograph: int, method: int | None) -> str:
    return f"{photograph}.{'' if method is None else method}"


def _slot(trial: Trial) -> Slot:
    shown = [picture.split(".") for picture in trial.pictures]
    assert len({photograph for photograph, _ in shown}) == 1
    methods = tuple(int(method) if method else None for _, method in shown)
    return Slot(trial.kind, int(shown[0][0]), methods, trial.of, trial.expected)


def _trials(photographs: int, methods: int, pictures: int, **changed: Any) -> list[list[Trial]]:
    cycle = len(conditions(methods, pictures=pictures))
    told = {"raters": cycle, "rounds": 1, "repeats": 0, "catches": 0, "seed": 3} | changed
    return design_sessions(photographs=photographs, methods=methods, pictures=pictures, name=_name, **told)


def _design(photographs: int, methods: int, pictures: int, **changed: Any) -> list[list[Slot]]:
    return [[_slot(trial) for trial in session] for session in _trials(photographs, methods, pictures, **changed)]


def imbalance(photographs: int, methods: int, pictures: int, **changed: Any) -> tuple[int, int]:
    cells = photographs * len(conditions(methods, pictures=pictures))
    sessions = _trials(photographs, methods, pictures, **changed)
    counts = Counter(trial.pictures for session in sessions for trial in session if trial.kind == RATED)
    return min(counts.values()) if len(counts) == cells else 0, max(counts.values())


def _most_rounds(methods: int, pictures: int) -> int:
    return methods if pictures == 1 else methods * (methods - 1) // 2


# ---------------------------------------------------------------- conditions


@pytest.mark.parametrize("methods", range(2, 9))
def test_every_pair_stands_once_in_each_half_with_sides_changed(methods: int) -> None:
    shown = conditions(methods, pictures=2)
    half = len(shown) // 2
    assert sorted(tuple(sorted(pair)) for pair in shown[:half]) == list(combinations(range(methods), 2))
    assert shown[half:] == [(right, left) for left, right in shown[:half]]


@pytest.mark.parametrize("methods", range(2, 9))
def test_within_a_half_every_method_is_as_often_left_as_right(methods: int) -> None:
    shown = conditions(methods, pictures=2)
    left, right = (Counter(pair[side] for pair in shown[: len(shown) // 2]) for side in (0, 1))
    assert all(abs(left[method] - right[method]) <= 1 for method in range(methods))


# ---------------------------------------------------------------- balance over whole cycles


@pytest.mark.parametrize(("methods", "pictures"), LAYOUTS)
@pytest.mark.parametrize("cycles", [1, 3])
def test_every_photograph_is_shown_equally_often_under_every_condition(
    methods: int, pictures: int, cycles: int
) -> None:
    cycle = len(conditions(methods, pictures=pictures))
    for photographs in PHOTOGRAPHS:
        for rounds in {1, min(2, _most_rounds(methods, pictures)), _most_rounds(methods, pictures)}:
            sessions = _trials(photographs, methods, pictures, raters=cycle * cycles, rounds=rounds)
            counts = Counter(trial.pictures for session in sessions for trial in session)
            assert len(counts) == photographs * cycle
            assert set(counts.values()) == {cycles * rounds}


@pytest.mark.parametrize(("methods", "pictures"), LAYOUTS)
@pytest.mark.parametrize("rounds", [1, 2])
def test_every_condition_stands_equally_often_at_every_place(methods: int, pictures: int, rounds: int) -> None:
    rounds = min(rounds, _most_rounds(methods, pictures))
    for photographs in PHOTOGRAPHS:
        sessions = _design(photographs, methods, pictures, rounds=rounds, repeats=photographs * rounds // 2, catches=3)
        cycle = len(conditions(methods, pictures=pictures))
        for place in range(len(sessions[0])):
            slots = [session[place] for session in sessions]
            assert len({slot.kind for slot in slots}) == 1
            if slots[0].kind != CATCH:
                assert Counter(slot.methods for slot in slots) == dict.fromkeys(
                    conditions(methods, pictures=pictures), len(sessions) // cycle
                )


@pytest.mark.parametrize(("methods", "pictures"), LAYOUTS)
def test_a_rater_meets_all_conditions_equally_often_within_one_a_round(methods: int, pictures: int) -> None:
    rounds = min(2, _most_rounds(methods, pictures))
    for photographs in PHOTOGRAPHS:
        for session in _design(photographs, methods, pictures, rounds=rounds):
            for number in range(rounds):
                part = session[number * photographs : (number + 1) * photographs]
                assert {slot.photograph for slot in part} == set(range(photographs))
                counts = [
                    Counter(slot.methods for slot in part)[shown] for shown in conditions(methods, pictures=pictures)
                ]
                assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(("methods", "pictures"), LAYOUTS)
def test_no_rater_judges_the_same_twice(methods: int, pictures: int) -> None:
    for photographs in PHOTOGRAPHS:
        for session in _design(photographs, methods, pictures, rounds=_most_rounds(methods, pictures)):
            judged = [(slot.photograph, frozenset(slot.methods)) for slot in session]
            assert len(set(judged)) == len(judged)


def _follow(sessions: list[list[Slot]], block: int, blocks: int) -> Counter[tuple[Any, Any]]:
    """How often one condition follows another within the blocks of all raters."""
    return Counter(
        (session[place].methods, session[place + 1].methods)
        for session in sessions
        for first in range(0, block * blocks, block)
        for place in range(first, first + block - 1)
    )


@pytest.mark.parametrize(("methods", "pictures"), [(2, 1), (4, 1), (6, 1), (2, 2), (3, 2), (4, 2)])
def test_within_a_block_every_condition_follows_every_other_equally_often(methods: int, pictures: int) -> None:
    shown = conditions(methods, pictures=pictures)
    follow = _follow(_design(2 * len(shown) + 1, methods, pictures), len(shown), 2)
    assert follow == {(one, other): 2 for one in shown for other in shown if one != other}


@pytest.mark.parametrize("methods", [3, 5])
def test_an_odd_number_of_conditions_takes_two_cycles_for_it(methods: int) -> None:
    shown = conditions(methods, pictures=1)
    once = _follow(_design(methods, methods, 1), methods, 1)
    twice = _follow(_design(methods, methods, 1, raters=2 * methods), methods, 1)
    assert len(set(once[one, other] for one in shown for other in shown if one != other)) > 1  # noqa: C401
    assert twice == {(one, other): 2 for one in shown for other in shown if one != other}


@pytest.mark.parametrize(("methods", "pictures"), LAYOUTS)
def test_part_of_a_cycle_is_balanced_within_one(methods: int, pictures: int) -> None:
    cycle = len(conditions(methods, pictures=pictures))
    for raters in range(1, cycle):
        low, high = imbalance(7, methods, pictures, raters=raters)
        assert high - low == 1
        assert imbalance(7, methods, pictures, raters=cycle + raters) == (1, 2)


# ---------------------------------------------------------------- order and seed


def test_photographs_come_in_another_order_for_each_rater_where_there_is_room() -> None:
    orders = [[slot.photograph for slot in session] for session in _design(12, 3, 1)]
    assert len(set(map(tuple, orders))) == 3
    again = _design(12, 3, 1, rounds=2)
    for session in again:  # the next round comes in the same order, so that the balance holds
        assert [slot.photograph for slot in session[:12]] == [slot.photograph for slot in session[12:]]


@pytest.mark.parametrize("pictures", [1, 2])
def test_the_same_seed_gives_the_same_design_and_another_seed_another(pictures: int) -> None:
    told: dict[str, Any] = {"raters": 7, "repeats": 2, "catches": 2}
    assert _design(8, 3, pictures, **told) == _design(8, 3, pictures, **told)
    assert _design(8, 3, pictures, **told) != _design(8, 3, pictures, **told, **{"seed": 4})


def test_more_raters_leave_the_first_ones_as_they_were() -> None:
    assert _design(8, 3, 1, raters=20, repeats=2, catches=2)[:5] == _design(8, 3, 1, raters=5, repeats=2, catches=2)


# ---------------------------------------------------------------- repeats and catch trials


@pytest.mark.parametrize("pictures", [1, 2])
@pytest.mark.parametrize("repeats", [1, 3, 8])
def test_repeats_come_later_with_sides_changed(pictures: int, repeats: int) -> None:
    for session in _design(8, 3, pictures, rounds=2, repeats=repeats, catches=3, raters=13):
        found = [(place, slot) for place, slot in enumerate(session) if slot.kind == REPEAT]
        assert len(found) == repeats
        assert len({slot.of for _, slot in found}) == repeats
        for place, slot in found:
            assert slot.of is not None and slot.of < place
            source = session[slot.of]
            assert source.kind == RATED
            assert (source.photograph, source.methods[::-1]) == (slot.photograph, slot.methods)
            assert sum(s.kind == RATED for s in session[: slot.of + 1]) <= 8  # of the first half
            assert sum(s.kind == RATED for s in session[:place]) > 8


@pytest.mark.parametrize("catches", [1, 4, 40])
def test_a_catch_trial_of_one_picture_is_spoiled_and_expects_no(catches: int) -> None:
    for session in _design(6, 3, 1, catches=catches):
        found = [slot for slot in session if slot.kind == CATCH]
        assert [(slot.methods, slot.expected) for slot in found] == [((None,), 0)] * catches


@pytest.mark.parametrize("methods", [2, 3, 4])
@pytest.mark.parametrize("catches", [1, 4, 5])
def test_catch_trials_of_two_pictures_expect_the_sound_one_on_either_side_equally_often(
    methods: int, catches: int
) -> None:
    sessions = _design(6, methods, 2, catches=catches)
    found = [[slot for slot in session if slot.kind == CATCH] for session in sessions]
    for own in found:
        sides = Counter(slot.expected for slot in own)
        assert len(own) == catches and abs(sides[0] - sides[1]) <= 1
        for slot in own:
            assert slot.expected is not None
            assert slot.methods[slot.expected] in range(methods) and slot.methods[1 - slot.expected] is None
    every = Counter(slot.expected for own in found for slot in own)
    assert every[0] == every[1]


def test_catch_trials_are_spread_over_the_session() -> None:
    for session in _design(40, 2, 1, catches=4, raters=20):
        places = [place for place, slot in enumerate(session) if slot.kind == CATCH]
        assert all(any(11 * part <= place < 11 * (part + 1) for place in places) for part in range(4))


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"methods": 1}, "at least 2 methods for 2 pictures at once, got 1"),
        ({"rounds": 0}, "rounds between 1 and 3 with 3 methods, got 0"),
        ({"rounds": 4}, "rounds between 1 and 3 with 3 methods, got 4"),
        ({"repeats": 3}, "repeats between 0 and 2, half of the trials of a rater, got 3"),
        ({"repeats": -1}, "repeats between 0 and 2"),
    ],
)
def test_a_design_that_does_not_work_out_is_refused(changed: dict[str, Any], message: str) -> None:
    told: dict[str, Any] = {"photographs": 5, "methods": 3, "pictures": 2, "raters": 6, "rounds": 1}
    told |= {"repeats": 0, "catches": 0, "seed": 0, "name": _name}
    with pytest.raises(ValueError, match=message):
        design_sessions(**told | changed)
