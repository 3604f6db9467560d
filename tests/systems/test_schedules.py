"""The rate rises, falls along a cosine, and can be made longer."""

import pytest
import torch
from torch import nn

from impasto.systems import warm_up_cosine


def _rates(steps: int, warm_up: float, count: int) -> list[float]:
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warm_up_cosine(optimizer, steps=steps, warm_up=warm_up)
    rates = []
    for _ in range(count):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return rates


def test_the_rate_rises_to_the_optimisers_own_then_falls_to_a_hundredth() -> None:
    rates = _rates(100, 0.1, 101)
    assert rates[:11] == sorted(rates[:11]) and rates[10] == pytest.approx(2.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(2.0 * (0.01 + 0.99 / 2)) and rates[100] == pytest.approx(0.02)


def test_a_resumed_run_may_be_longer() -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=2.0)
    short = warm_up_cosine(optimizer, steps=5, warm_up=0.2)
    for _ in range(5):
        optimizer.step()
        short.step()
    longer = warm_up_cosine(optimizer, steps=50, warm_up=0.02)
    longer.load_state_dict(short.state_dict())
    optimizer.step()
    longer.step()
    assert longer.get_last_lr()[0] == pytest.approx(_rates(50, 0.02, 7)[6])


@pytest.mark.parametrize("warm_up", [-0.1, 1.0])
def test_a_warm_up_that_is_no_part_is_refused(warm_up: float) -> None:
    with pytest.raises(ValueError, match=f"expected system.scheduler.warm_up of 0 to below 1, got {warm_up}"):
        _rates(5, warm_up, 1)
