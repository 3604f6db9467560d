"""Draw README's pictures from the shipped networks and scikit-image's sample photographs (public domain or CC0)."""

import sys
from pathlib import Path

import torch

from impasto.data.sample import sample_path
from impasto.images import read_image, resize_longer_side, sheet, write_image
from impasto.runs import load_run, load_shipped, shipped_styles

HERE = Path(__file__).parent
PHOTOGRAPHS = ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"]


@torch.inference_mode()
def main() -> None:
    """Write docs/styles.jpg and docs/sizes.jpg; with a quickstart run folder as argument, docs/quickstart.jpg too."""
    photos = [read_image(Path(sample_path(name))) for name in PHOTOGRAPHS]
    networks = {style: load_shipped(style).network for style in shipped_styles()}
    rows = [[resize_longer_side(photo, 512) for photo in photos]]
    rows += [[network(photo[None])[0] for photo in rows[0]] for network in networks.values()]
    write_image(HERE / "styles.jpg", sheet(rows, cell=300))
    rocket = photos[3]
    sizes = [
        [network(resize_longer_side(rocket, size)[None])[0] for size in (256, 512, 1024)]
        for network in networks.values()
    ]
    write_image(HERE / "sizes.jpg", sheet(sizes, cell=400))
    if len(sys.argv) > 1:
        network = load_run(Path(sys.argv[1]), system="stylizer").network
        pictures = [resize_longer_side(photo, 512) for photo in photos[:2]]
        row = [item for photo in pictures for item in (photo, network(photo[None])[0])]
        write_image(HERE / "quickstart.jpg", sheet([row], cell=300))


if __name__ == "__main__":
    main()
