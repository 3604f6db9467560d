"""Draw the pictures of docs/ from the shipped networks and scikit-image's sample photographs (public domain or CC0)."""

import sys
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from impasto.data import sample_path
from impasto.evaluation.colour import colorizer_of, tinted
from impasto.evaluation.plots import save_figure
from impasto.evaluation.super_resolution_protocol import Protocol, compare, enlarge, low_and_truth, luma
from impasto.images import read_image, resize_longer_side, sheet, to_uint8, write_image
from impasto.listing import find_images
from impasto.methods import Stylizing
from impasto.resampling import upscale
from impasto.trained import load_mix, load_run, load_shipped, shipped

HERE = Path(__file__).parent
PHOTOGRAPHS = ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"]


GATYS = ["plain", "match", "luminance", "blend"]


def main() -> None:
    """Write styles.jpg, sizes.jpg and mixes.jpg; with `quickstart=<run folder>`, `gatys=<folder>` or others, those.

    The folder for gatys.jpg holds what docs/pictures/optimize_pictures.sh makes, that for historic.jpg grey
    photographs; pocket.jpg takes two run folders, with a comma between them, johnson2016.jpg a run and a folder of
    results of experiment=johnson2016_baseline.
    """
    made = {
        "styles": draw_styles,
        "quickstart": draw_quickstart,
        "pocket": draw_pocket,
        "gatys": draw_gatys,
        "johnson": draw_johnson,
        "features": draw_features,
        "colour": draw_colour,
        "historic": draw_historic,
        "upscaled": draw_upscaled,
    }
    for word in sys.argv[1:] or ["styles="]:
        name, _, folder = word.partition("=")
        made[name](Path(folder))


@torch.inference_mode()
def draw_styles(_: Path) -> None:
    """Draw photographs in each shipped style, one at three sizes in some, and strengths and a mix."""
    photos = [resize_longer_side(read_image(Path(sample_path(name))), 512) for name in PHOTOGRAPHS]
    networks = [load_shipped(style).network for style in shipped("stylizer")]
    pictures = [[photo, *(network(photo[None])[0] for network in networks)] for photo in (photos[0], photos[3])]
    rows = [row[start : start + 6] for row in pictures for start in range(0, len(row), 6)]
    _write("styles.jpg", rows, cell=300)
    rocket = read_image(Path(sample_path(PHOTOGRAPHS[3])))
    sizes = [
        [network(resize_longer_side(rocket, size)[None])[0] for size in (256, 512, 1024)] for network in networks[:3]
    ]
    _write("sizes.jpg", sizes, cell=400)
    cat = photos[1]
    strengths = [
        Stylizing(load_shipped("starry_night"), strength=strength)(cat[None])[0].image
        for strength in (0.25, 0.5, 0.75, 1)
    ]
    mixes = [
        load_mix({"starry_night": 1 - share, "the_scream": share}).network(cat[None])[0]
        for share in (0.25, 0.5, 0.75, 1)
    ]
    _write("mixes.jpg", [strengths, mixes], cell=300)


@torch.inference_mode()
def draw_quickstart(run: Path) -> None:
    """Draw two held-out photographs and what quickstart's network makes of them."""
    network = load_run(run, system="stylizer").network
    photos = [resize_longer_side(read_image(Path(sample_path(name))), 512) for name in PHOTOGRAPHS[:2]]
    row = [item for photo in photos for item in (photo, network(photo[None])[0])]
    write_image(HERE / "quickstart.jpg", sheet([row], cell=300))


@torch.inference_mode()
def draw_pocket(runs: Path) -> None:
    """Draw photographs, and below them what two networks make of them."""
    networks = [load_run(Path(run), system="stylizer").network for run in str(runs).split(",")]
    photos = [resize_longer_side(read_image(Path(sample_path(name))), 384) for name in PHOTOGRAPHS]
    rows = [photos, *([network(photo[None])[0] for photo in photos] for network in networks)]
    write_image(HERE / "pocket.jpg", sheet(rows, cell=384))


@torch.inference_mode()
def draw_gatys(folder: Path) -> None:
    """Draw a photograph, the network's and the optimisation's results; below, the optimisation's with other options."""
    photo = resize_longer_side(read_image(Path(sample_path("rocket.jpg"))), 384)
    network = load_shipped("starry_night").network
    plain, *others = [read_image(folder / name / "rocket.jpg") for name in GATYS]
    _write("gatys.jpg", [[photo, network(photo[None])[0], plain], others], cell=400)


@torch.inference_mode()
def draw_johnson(folders: Path) -> None:
    """Draw photographs, what a network of experiment=johnson2016_style makes of them, and 500 iterations."""
    run, optimized = map(Path, str(folders).split(","))
    network = load_run(run, system="stylizer").network
    results = {path.name: read_image(path) for path, _ in find_images([str(optimized)])}
    photos = {name: resize_longer_side(read_image(Path(sample_path(name))), 256) for name in results}
    _write("johnson2016.jpg", [[p, network(p[None])[0], results[name]] for name, p in photos.items()], cell=300)


def draw_features(folder: Path) -> None:
    """Draw a photograph, and what the features of a colorizer made of it."""
    photo = resize_longer_side(read_image(Path(sample_path("chelsea.png"))), 384)
    _write("scene_features.jpg", [[photo, read_image(folder / "chelsea.png")]], cell=384)


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
    _write("historic.jpg", [[photo, method(photo).image] for photo in photos], cell=512)


def _write(name: str, rows: list[list[Tensor]], *, cell: int) -> None:
    """Write pictures in rows and columns, without the white above and below those that are wider than high."""
    picture = sheet(rows, cell=cell)
    filled = picture.amin(dim=(0, 2)) < 1
    near = functional.max_pool1d(filled[None].float(), kernel_size=5, stride=1, padding=2)[0] > 0  # leaves four lines
    write_image(HERE / name, picture[:, near])


CROPS = {"astronaut.png": (176, 56), "chelsea.png": (120, 72), "coffee.png": (232, 64), "rocket.jpg": (280, 152)}


def _draw_pictures(path: Path, columns: list[str], rows: dict[str, list[tuple[Tensor, str]]], *, note: str) -> None:
    """Draw rows of pictures (3, H, W), each with what stands below it."""
    figure = Figure(figsize=(2 * len(columns), 2.3 * len(rows) + 0.5), layout="constrained", dpi=110)
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for (title, shown), axes in zip(rows.items(), grid, strict=True):
        axes[0].set_ylabel(title, fontsize=8)
        for column, (picture, caption), axis in zip(columns, shown, axes, strict=True):
            axis.imshow(to_uint8(picture), interpolation="nearest")
            axis.set(title=column, xticks=[], yticks=[])
            axis.set_xlabel(caption, fontsize=8)
    figure.supxlabel(note, fontsize=8)
    save_figure(figure, path)


def draw_upscaled(_: Path) -> None:
    """Draw crops of photographs at a quarter of their size, and what bicubic and the shipped networks make of them."""
    size, factor = 96, 4
    rule = Protocol(border=None, sigma=0.0, ssim_sigma=1.5, match_histograms=False)
    networks = {loss: load_shipped(f"x{factor}_{loss}", system="upscaler").network for loss in ("pixel", "feature")}
    methods = {"bicubic": partial(upscale, factor=factor), "pixel loss": networks["pixel"]}
    methods |= {"feature loss": networks["feature"]}
    rows = {}
    for name, (left, top) in CROPS.items():
        low, truth = low_and_truth(read_image(Path(sample_path(name))), factor, rule)
        wanted = luma(truth, grey=False)
        square = (slice(top, top + size), slice(left, left + size))
        small = low[0][:, top // factor : (top + size) // factor, left // factor : (left + size) // factor]
        shown = [(small, "a quarter of the size")]
        for method in methods.values():
            output = enlarge(method, low, matched=False)
            found = compare(luma(output, grey=False), wanted, border=factor, ssim_sigma=rule.ssim_sigma)
            shown.append((output[0][:, *square], f"{found.psnr:.2f} dB, sharpness {found.sharpness:.2f}"))
        rows[Path(name).stem] = [*shown, (truth[0][:, *square], "")]
    note = "PSNR of the whole picture's luma; sharpness: energy of its gradient, as a share of the truth's"
    _draw_pictures(HERE / "upscaled.png", ["low", *methods, "truth"], rows, note=note)
    write_image(HERE / "upscaled.jpg", read_image(HERE / "upscaled.png"))
    (HERE / "upscaled.png").unlink()


if __name__ == "__main__":
    main()
