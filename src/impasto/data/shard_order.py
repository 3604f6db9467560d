"""In which order photographs leave shards: told by numbers alone, before anything is read."""

import numpy as np


def dealt(shards: int, *, slot: int, slots: int, seed: int, epoch: int) -> list[int]:
    """Deal shards, shuffled anew in each epoch, to those who read at the same time.

    Args:
        shards: how many there are.
        slot: who asks, from 0.
        slots: how many read.
        seed: of the order.
        epoch: from 0.

    Returns:
        The shards of this slot, in the order in which it reads them; those of all slots together are all, each once.
    """
    order: list[int] = np.random.default_rng([seed, epoch]).permutation(shards).tolist()
    return order[slot::slots]


def buffered(count: int, buffer: int, *, seed: int, epoch: int, slot: int) -> np.ndarray:
    """Tell the order in which photographs leave a shuffle buffer that they enter one after another.

    Args:
        count: photographs that enter.
        buffer: how many it holds; the next enters when one leaves.
        seed: of the order.
        epoch: from 0.
        slot: who reads.

    Returns:
        Their numbers in the order of entering, (count,): the one that leaves at t has entered before t + buffer.
    """
    within = np.minimum(buffer, np.arange(count, 0, -1))
    picks = (np.random.default_rng([seed, epoch, slot]).random(count) * within).astype(np.int64).tolist()
    held, left = list(range(min(buffer, count))), []
    for entering, pick in enumerate(picks, start=len(held)):
        left.append(held[pick])
        last = held.pop() if entering >= count else entering
        if pick < len(held):
            held[pick] = last
    return np.array(left, dtype=np.int64)
