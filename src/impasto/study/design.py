"""Who sees what, in which order, on which side: balanced exactly, from a seed."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product

from impasto.study.folder import CATCH, RATED, REPEAT, Trial

Name = Callable[[int, int | None], str]  # of the picture of a photograph by a method, by their numbers; None: spoiled
_Places = Mapping[int, list[int]]


def conditions(methods: int, *, pictures: int) -> list[tuple[int, ...]]:
    """List what a photograph can be shown as: each method, or each ordered pair of methods.

    Of pairs the first half has each pair once, every method as often left as right (within one), the second half the
    same pairs with sides changed.
    """
    if pictures == 1:
        return [(method,) for method in range(methods)]
    pairs = []
    for a, b in combinations(range(methods), 2):
        a_is_left = 2 * (b - a) < methods or (2 * (b - a) == methods and a % 2 == 0)
        pairs.append((a, b) if a_is_left else (b, a))
    return [*pairs, *((b, a) for a, b in pairs)]


def design_sessions(
    *,
    photographs: int,
    methods: int,
    pictures: int,
    raters: int,
    rounds: int,
    repeats: int,
    catches: int,
    seed: int,
    name: Name,
) -> list[list[Trial]]:
    """Lay out the sessions of a study, one for each rater.

    Raters come in cycles of as many as there are conditions. Within a whole cycle every photograph is shown under every
    condition equally often, and every condition stands equally often at every place of the session; a rater meets all
    equally often, within one a round. Conditions follow each other in Williams' zigzag, none more often than it must.
    Photographs come in another order for each rater as far as that balance leaves room.

    Args:
        photographs: how many.
        methods: how many.
        pictures: shown at once: 1 or 2.
        raters: how many.
        rounds: conditions under which a rater sees each photograph, one a round.
        repeats: trials of the first half that come again in the second, of two pictures with sides changed.
        catches: trials with a spoiled picture.
        seed: of all choices.
        name: names the pictures.

    Raises:
        ValueError: too few methods, or more rounds or repeats than there is room for.

    Source: Williams 1949, "Experimental designs balanced for the estimation of residual effects of treatments".
    """
    if methods < pictures:
        raise ValueError(f"expected at least {pictures} methods for {pictures} pictures at once, got {methods}")
    shown = conditions(methods, pictures=pictures)
    most, half = len(shown) // pictures, photographs * rounds // 2
    if not 1 <= rounds <= most:
        raise ValueError(f"expected rounds between 1 and {most} with {methods} methods, got {rounds}")
    if not 0 <= repeats <= half:
        raise ValueError(f"expected repeats between 0 and {half}, half of the trials of a rater, got {repeats}")
    generator = random.Random(seed)
    sessions: list[list[Trial]] = []
    while len(sessions) < raters:
        mirrored = len(sessions) // len(shown) % 2 == 1
        zigzag = [(step + 1) // 2 * (1 if (step % 2 == 1) != mirrored else -1) for step in range(len(shown))]
        order = generator.sample(range(photographs), photographs)
        extras = _places_of_extras(photographs * rounds, repeats, catches, generator)
        for offset in generator.sample(range(len(shown)), len(shown)):
            # One order would do, but then a seed would no longer give the design that it gave.
            own, *_ = [_mixed(order, len(shown), generator) for _ in range(rounds)]
            rated = []
            for number, (place, photograph) in product(range(rounds), enumerate(own)):
                condition = shown[(zigzag[place % len(shown)] + offset + number) % len(shown)]
                rated.append(Trial(kind=RATED, pictures=tuple(name(photograph, method) for method in condition)))
            caught = [_catch(offset + number, photographs, methods, pictures, name) for number in range(catches)]
            sessions.append(_with_extras(rated, caught, *extras))
    return sessions[:raters]


def _mixed(photographs: Sequence[int], count: int, generator: random.Random) -> list[int]:
    """Mix the photographs that the balance of so many conditions lets change places: a whole number of blocks apart."""
    order = list(photographs)
    for first in range(min(count, len(order))):
        order[first::count] = generator.sample(order[first::count], len(order[first::count]))
    return order


def _catch(number: int, photographs: int, methods: int, pictures: int, name: Name) -> Trial:
    """Lay out a catch trial; of two pictures the sound one is on either side."""
    photograph, sound = number % photographs, number // 2 % methods
    spoiled = name(photograph, None)
    if pictures == 1:
        return Trial(kind=CATCH, pictures=(spoiled,), expected=0)
    pair = (name(photograph, sound), spoiled)
    return Trial(kind=CATCH, pictures=pair[::-1] if number % 2 else pair, expected=1 if number % 2 else 0)


def _places_of_extras(rated: int, repeats: int, catches: int, generator: random.Random) -> tuple[_Places, _Places]:
    """Draw after which rated trials others come in a whole cycle: numbers of the repeated and of the catch trials."""
    half = rated // 2
    repeated, caught = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for number, source in enumerate(generator.sample(range(half), repeats)):
        repeated[half + int((number + generator.random()) * (rated - half) / repeats)].append(source)
    for number in range(catches):
        caught[min(int((number + generator.uniform(0.2, 1)) * rated / catches), rated - 1)].append(number)
    return repeated, caught


def _with_extras(rated: Sequence[Trial], catches: Sequence[Trial], repeated: _Places, caught: _Places) -> list[Trial]:
    session, places = list[Trial](), list[int]()
    for index, trial in enumerate(rated):
        places.append(len(session))
        session.append(trial)
        for source in repeated.get(index, []):
            session.append(Trial(kind=REPEAT, pictures=rated[source].pictures[::-1], of=places[source]))
        session += [catches[number] for number in caught.get(index, [])]
    return session
