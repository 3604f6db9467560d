"""A network between two of the same shapes: python docs/measure/interpolated.py <network> <other> <share> <new file>.

Each weight is the share of the first network's and the rest of the second's. Between an upscaler trained with the pixel
loss and the one that the feature loss made of it, edges stay sharp and the pattern of the feature loss fades.

Source: Wang, Yu, Wu and others 2018, "ESRGAN", sec. 3.4: network interpolation.
"""

import math
import sys
from pathlib import Path

import torch

from impasto.networks import save_network
from impasto.trained import load_named


def main(words: list[str]) -> None:
    """Write the network with the first one's card, less figures of a training, plus what it was mixed with."""
    if len(words) != 4:
        sys.exit(f"error: expected <network> <other> <share> <new file>, got {len(words)} words")
    try:
        first, second = (load_named(word) for word in words[:2])
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    try:
        share = float(words[2])
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        sys.exit(f"error: expected a share from 0 to 1, got {words[2]}")
    ours, others = first.network.state_dict(), second.network.state_dict()
    if {name: value.shape for name, value in ours.items()} != {name: value.shape for name, value in others.items()}:
        sys.exit(f"error: {words[1]} has other weights than {words[0]}; expected a network of the same configuration")
    first.network.load_state_dict({name: torch.lerp(others[name], value, share) for name, value in ours.items()})
    card = {key: value for key, value in first.card.items() if key not in ("final", "final_step")}
    card["interpolated"] = {"share": share, "with": Path(words[1]).stem}
    save_network(Path(words[3]), first.network, card)


if __name__ == "__main__":
    main(sys.argv[1:])
