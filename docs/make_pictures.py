"""Draw README's pictures from the shipped networks and scikit-image's sample photographs (public domain or CC0)."""

import sys
from pathlib import Path

import torch

from impasto.data.sample import sample_path
from impasto.evaluation.colorizers import colorizer_of, tinted
from impasto.images import read_image, resize_longer_side, sheet, write_image
from impasto.listing import find_images
from impasto.runs import load_run, load_shipped, shipped

HERE = Path(__file__).parent
PHOTOGRAPHS = ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"]


GATYS = ["plain", "match", "luminance", "blend"]


def main() -> None:
    """Write docs/styles.jpg and docs/sizes.jpg; with `quickstart=<run folder>`, `gatys=<folder>` or others, those.

    The folder for docs/gatys.jpg holds what docs/optimize_pictures.sh makes, that for docs/historic.jpg grey
    photographs.
    """
    made = {
        "styles": draw_styles,
        "quickstart": draw_quickstart,
        "gatys": draw_gatys,
        "colour": draw_colour,
        "historic": draw_historic,
    }
    for word in sys.argv[1:] or ["styles="]:
        name, _, folder = word.partition("=")
        made[name](Path(folder))


@torch.inference_mode()
def draw_styles(_: Path) -> None:
    """Draw photographs in each shipped style, and one at three sizes."""
    photos = [read_image(Path(sample_path(name))) for name in PHOTOGRAPHS]
    networks = {style: load_shipped(style).network for style in shipped("stylizer")}
    rows = [[resize_longer_side(photo, 512) for photo in photos]]
    rows += [[network(photo[None])[0] for photo in rows[0]] for network in networks.values()]
    write_image(HERE / "styles.jpg", sheet(rows, cell=300))
    rocket = photos[3]
    sizes = [
        [network(resize_longer_side(rocket, size)[None])[0] for size in (256, 512, 1024)]
        for network in networks.values()
    ]
    write_image(HERE / "sizes.jpg", sheet(sizes, cell=400))


@torch.inference_mode()
def draw_quickstart(run: Path) -> None:
    """Draw two held-out photographs and what quickstart's network makes of them."""
    network = load_run(run, system="stylizer").network
    photos = [resize_longer_side(read_image(Path(sample_path(name))), 512) for name in PHOTOGRAPHS[:2]]
    row = [item for photo in photos for item in (photo, network(photo[None])[0])]
    write_image(HERE / "quickstart.jpg", sheet([row], cell=300))


@torch.inference_mode()
def draw_gatys(folder: Path) -> None:
    """Draw a photograph, the network's and the optimisation's results; below, the optimisation's with other options."""
    photo = resize_longer_side(read_image(Path(sample_path("rocket.jpg"))), 384)
    network = load_shipped("starry_night").network
    plain, *others = [read_image(folder / name / "rocket.jpg") for name in GATYS]
    rows = sheet([[photo, network(photo[None])[0], plain], others], cell=400)
    write_image(HERE / "gatys.jpg", rows[:, rows.amin(dim=(0, 2)) < 1])  # without the white above and below


def draw_colour(_: Path) -> None:
    """Draw photographs grey, coloured by the shipped network, and in truth; the last column has always been grey."""
    method = colorizer_of(load_shipped("scenes", system="colorizer"))
    photos = [resize_longer_side(read_image(Path(sample_path(name))), 512) for name in (*PHOTOGRAPHS, "camera.png")]
    greys = [tinted(photo, torch.zeros(1, 2, 1, 1)) for photo in photos]
    rows = [greys, [method(photo).image for photo in photos], photos]
    write_image(HERE / "colour.jpg", sheet(rows, cell=256))


def draw_historic(folder: Path) -> None:
    """Draw the grey photographs of a folder and their colours."""
    method = colorizer_of(load_shipped("scenes", system="colorizer"))
    photos = [resize_longer_side(read_image(found.path), 768) for found in find_images([folder])]
    write_image(HERE / "historic.jpg", sheet([[photo, method(photo).image] for photo in photos], cell=512))


if __name__ == "__main__":
    main()
