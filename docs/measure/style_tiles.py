"""Paint the small pictures of the styles that `impasto app` shows: python docs/measure/style_tiles.py.

To be run again when the shipped style network changes; a test holds that every shipped style has one.
"""

from pathlib import Path

from PIL import Image

import impasto.app
from impasto.data import sample_paths
from impasto.images import read_image, resize_longer_side, to_uint8
from impasto.methods import Stylizing
from impasto.trained import load_shipped, shipped

FOLDER = Path(impasto.app.__file__).parent / "styles"
FACE = (slice(None), slice(0, 320), slice(64, 384))  # of the astronaut
PIXELS = 160  # twice what is shown


def main() -> None:
    """Write one JPEG a style."""
    photo = read_image(Path(sample_paths(["astronaut.png"])[0]))[FACE]
    FOLDER.mkdir(exist_ok=True)
    for name in shipped("stylizer"):
        painted = Stylizing(load_shipped(name))(photo[None])[0].image
        Image.fromarray(to_uint8(resize_longer_side(painted, PIXELS))).save(FOLDER / f"{name}.jpg", quality=88)


if __name__ == "__main__":
    main()
