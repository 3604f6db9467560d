"""Who sees what, in which order, on which side: balanced exactly, from a seed."""

import random
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from impasto.study.plan import CATCH, RATED, REPEAT


class Slot(NamedTuple):
    """A trial by numbers, before its pictures have names.

    Attributes:
        kind: RATED, REPEAT or CATCH.
        photograph: its number.
        methods: their numbers, left to right; None stands for a spoiled picture.
        of: position of the trial that is repeated.
        expected: the answer to a catch trial.
    """

    kind: str
    photograph: int
    methods: tuple[int | None, ...]
    of: int | None = None
    expected: int | None = None


def conditions(methods: int, *, pictures: int) -> list[tuple[int, ...]]:
    """List what a photograph can be shown as: each method, or each ordered pair of methods.

    Of pairs the first half has each pair once, every method as often left as right (within one), the second half the
    same pairs with sides changed.
    """
    if pictures == 1:
        return [(method,) for method in range(methods)]
    pairs = [(a, b) if _a_is_left(a, b, methods) else (b, a) for a, b in combinations(range(methods), 2)]
    return [*pairs, *((b, a) for a, b in pairs)]


def _a_is_left(a: int, b: int, methods: int) -> bool:
    return 2 * (b - a) < methods or (2 * (b - a) == methods and a % 2 == 0)


def design_sessions(
    *, photographs: int, methods: int, pictures: int, raters: int, rounds: int, repeats: int, catches: int, seed: int
) -> list[list[Slot]]:
    """Lay out the sessions of a study.

    Raters come in cycles of as many as there are conditions. Within a whole cycle every photograph is shown under every
    condition equally often, and every condition stands equally often at every place of the session; a rater meets all
    conditions equally often, within one a round. Successive conditions follow Williams' zigzag, so that none follows
    another more often than it must. Photographs come in another order for each rater as far as that balance leaves
    room: where there are fewer photographs than conditions, a cycle's raters share one order.

    Args:
        photographs: how many.
        methods: how many.
        pictures: shown at once: 1 or 2.
        raters: how many sessions.
        rounds: conditions under which a rater sees each photograph, one a round.
        repeats: trials of the first half that come again in the second, of two pictures with sides changed.
        catches: trials with a spoiled picture.
        seed: of all choices.

    Returns:
        A session for each rater.

    Raises:
        ValueError: too few photographs, methods or raters, or more rounds or repeats than there is room for.

    Source:
        Williams 1949, "Experimental designs balanced for the estimation of residual effects of treatments".
    """
    shown = conditions(methods, pictures=pictures)
    _check(photographs, methods, pictures, raters=raters, rounds=rounds, repeats=repeats, catches=catches)
    generator = random.Random(seed)
    sessions: list[list[Slot]] = []
    while len(sessions) < raters:
        cycle = _Cycle(photographs, shown, mirrored=len(sessions) // len(shown) % 2 == 1, generator=generator)
        extras = _Extras(photographs * rounds, repeats, catches, generator)
        for offset in generator.sample(range(len(shown)), len(shown)):
            rated = [slot for number in range(rounds) for slot in cycle.round(offset, number)]
            sessions.append(extras.insert(rated, offset, photographs=photographs, methods=methods, pictures=pictures))
    return sessions[:raters]


def _check(
    photographs: int, methods: int, pictures: int, *, raters: int, rounds: int, repeats: int, catches: int
) -> None:
    told = {"raters": raters, "rounds": rounds, "repeats": repeats, "catches": catches}
    for name, value in told.items():
        if not isinstance(value, int):
            raise ValueError(f"expected {name} to be a whole number, got {value}")
    if photographs < 1 or raters < 1:
        raise ValueError(f"expected at least one photograph and one rater, got {photographs} and {raters}")
    if methods < pictures:
        raise ValueError(f"expected at least {pictures} methods for {pictures} pictures at once, got {methods}")
    most = methods if pictures == 1 else methods * (methods - 1) // 2
    if not 1 <= rounds <= most:
        raise ValueError(f"expected rounds between 1 and {most} with {methods} methods, got {rounds}")
    if not 0 <= repeats <= photographs * rounds // 2:
        raise ValueError(
            f"expected repeats between 0 and {photographs * rounds // 2}, half of the trials of a rater, got {repeats}"
        )
    if catches < 0:
        raise ValueError(f"expected catches of at least 0, got {catches}")


class _Cycle:
    """As many raters as there are conditions, each with another offset."""

    def __init__(
        self, photographs: int, shown: Sequence[tuple[int, ...]], *, mirrored: bool, generator: random.Random
    ) -> None:
        self.shown, self.generator = shown, generator
        count = len(shown)
        zigzag = [(step + 1) // 2 * (1 if step % 2 else -1) % count for step in range(count)]
        self.zigzag = [-step % count for step in zigzag] if mirrored else zigzag
        self.order = generator.sample(range(photographs), photographs)
        self._of_offset: dict[int, list[int]] = {}

    def round(self, offset: int, number: int) -> list[Slot]:
        """Lay out one round of the rater with that offset."""
        count = len(self.shown)
        order = self._of_offset.setdefault(offset, self._photographs())
        return [
            Slot(RATED, photograph, self.shown[(self.zigzag[place % count] + offset + number) % count])
            for place, photograph in enumerate(order)
        ]

    def _photographs(self) -> list[int]:
        """Mix the photographs that the balance lets change places: those a whole number of blocks apart."""
        order = list(self.order)
        for first in range(min(len(self.shown), len(order))):
            places = range(first, len(order), len(self.shown))
            mixed = self.generator.sample([order[place] for place in places], len(places))
            for place, photograph in zip(places, mixed, strict=True):
                order[place] = photograph
        return order


class _Extras:
    """Repeats and catch trials, at the same places for all raters of a cycle."""

    def __init__(self, rated: int, repeats: int, catches: int, generator: random.Random) -> None:
        half = rated // 2
        self.sources = generator.sample(range(half), repeats)
        self.after: dict[int, list[tuple[str, int]]] = {}
        for number in range(repeats):
            place = half + int((number + generator.random()) * (rated - half) / repeats)
            self.after.setdefault(place, []).append((REPEAT, number))
        for number in range(catches):
            place = int((number + generator.uniform(0.2, 1)) * rated / catches)
            self.after.setdefault(min(place, rated - 1), []).append((CATCH, number))

    def insert(
        self, rated: Sequence[Slot], offset: int, *, photographs: int, methods: int, pictures: int
    ) -> list[Slot]:
        """Put them between the rated trials of the rater with that offset."""
        session: list[Slot] = []
        places: dict[int, int] = {}
        for index, slot in enumerate(rated):
            places[index] = len(session)
            session.append(slot)
            for kind, number in self.after.get(index, []):
                if kind == REPEAT:
                    source = self.sources[number]
                    again = rated[source]
                    session.append(Slot(REPEAT, again.photograph, again.methods[::-1], of=places[source]))
                else:
                    photograph = (number + offset) % photographs
                    session.append(_catch(photograph, number + offset, methods=methods, pictures=pictures))
        return session


def _catch(photograph: int, number: int, *, methods: int, pictures: int) -> Slot:
    if pictures == 1:
        return Slot(CATCH, photograph, (None,), expected=0)
    sound = number // 2 % methods
    return Slot(CATCH, photograph, (None, sound) if number % 2 else (sound, None), expected=number % 2)


def imbalance(sessions: Sequence[Sequence[Slot]], *, photographs: int, methods: int, pictures: int) -> tuple[int, int]:
    """Return how often, at least and at most, a photograph is shown under a condition; equal where all is balanced."""
    counts = Counter((slot.photograph, slot.methods) for session in sessions for slot in session if slot.kind == RATED)
    cells = [(p, shown) for p in range(photographs) for shown in conditions(methods, pictures=pictures)]
    return min(counts[cell] for cell in cells), max(counts[cell] for cell in cells)
