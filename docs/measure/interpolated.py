"""A network between two of the same shapes: python docs/measure/interpolated.py <network> <other> <share> <new file>.

Each weight is the share of the first network's and the rest of the second's. Between an upscaler trained with the pixel
loss and the one that the feature loss made of it, edges stay sharp and the pattern of the feature loss fades.

Source: Wang, Yu, Wu and others 2018, "ESRGAN", sec. 3.4: network interpolation.
"""

import sys
from pathlib import Path

import torch

from impasto.networks import save_network
from impasto.trained import load_named


def main(words: list[str]) -> None:
    """Write the network; its card is the first one's and says what it was mixed with."""
    first, second = (load_named(word) for word in words[:2])
    share = float(words[2])
    others = second.network.state_dict()
    weights = {name: torch.lerp(others[name], value, share) for name, value in first.network.state_dict().items()}
    first.network.load_state_dict(weights)
    card = first.card | {"interpolated": {"share": share, "with": Path(words[1]).stem}}
    save_network(Path(words[3]), first.network, card)


if __name__ == "__main__":
    main(sys.argv[1:])
