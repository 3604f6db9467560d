"""Laws of the pyramid: sizes grow by sqrt(2) up to the result's, and all steps are given out."""

import pytest

from impasto.gatys import pyramid_sizes, split_steps


@pytest.mark.parametrize(("size", "smallest"), [(512, 128), (1024, 64), (333, 100), (257, 128), (47, 8)])
def test_sizes_grow_by_the_square_root_of_two_up_to_the_result(size: int, smallest: int) -> None:
    sizes = pyramid_sizes(size, smallest=smallest)
    assert sizes[-1] == size
    assert len(sizes) > 2
    for i, found in enumerate(reversed(sizes)):
        assert abs(found - size / 2 ** (i / 2)) <= 0.5


@pytest.mark.parametrize(("size", "smallest"), [(512, 128), (512, 129), (333, 100), (47, 8)])
def test_no_level_is_smaller_than_told_and_none_is_left_out(size: int, smallest: int) -> None:
    sizes = pyramid_sizes(size, smallest=smallest)
    assert min(sizes) >= smallest
    assert round(size / 2 ** (len(sizes) / 2)) < smallest


@pytest.mark.parametrize("smallest", [512, 513, 10_000])
def test_a_smallest_of_at_least_the_size_gives_one_level(smallest: int) -> None:
    assert pyramid_sizes(512, smallest=smallest) == [512]


def test_a_power_of_two_has_known_sizes() -> None:
    assert pyramid_sizes(512, smallest=128) == [128, 181, 256, 362, 512]


@pytest.mark.parametrize(("steps", "expected"), [(3, [1, 1, 1]), (300, [100, 100, 100]), (500, [166, 166, 168])])
def test_each_size_gets_the_same_steps_and_the_finest_what_is_left(steps: int, expected: list[int]) -> None:
    assert split_steps(steps, [128, 181, 256]) == expected


@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_all_steps_are_given_out(count: int) -> None:
    for steps in range(count, 40):
        found = split_steps(steps, list(range(count)))
        assert sum(found) == steps and len(found) == count and min(found) >= 1


@pytest.mark.parametrize("steps", [0, 2])
def test_fewer_steps_than_sizes_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=rf"at least one step .*\[128, 181, 256\], got steps={steps}"):
        split_steps(steps, [128, 181, 256])
