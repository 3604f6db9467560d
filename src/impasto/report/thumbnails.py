"""Pictures made small enough for the page: decoded once their size is known to be sane, encoded within a budget."""

import base64
import hashlib
import io
import warnings
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError

from impasto.run_folders import open_plain, reason
from impasto.srgb import pixels_of

_LEAST = 12_000  # bytes that a picture is given, as base64; below, nothing can be seen
_MOST = 90_000
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")  # others, such as EPS, start programs
_MOST_PIXELS = 50_000_000
_SCALED = ("RGB", "L", "LA", "RGBA", "CMYK", "YCbCr")  # modes that can be made smaller as they are
_SIDES = ((60_000, 720), (30_000, 560), (18_000, 420), (0, 320))  # longer side in pixels, by bytes a picture


class Thumbnail(NamedTuple):
    """A picture in the page."""

    number: int  # a picture that is shown again has the number of the first
    uri: str  # data:image/webp;base64,...
    width: int  # of the reduced picture, in pixels
    height: int
    full: str  # size of the file's picture: "1024 x 768"


class Album:
    """Reduces a number of pictures so that all of them, as base64, keep within a size in bytes."""

    def __init__(self, size: int, count: int) -> None:
        self.left = size  # bytes, which others may take as well
        self._waiting = max(1, min(count, size // _LEAST))
        self.side = next(side for least, side in _SIDES if size // self._waiting >= least)
        self._made: dict[bytes, Thumbnail] = {}

    @property
    def has_room(self) -> bool:
        """Whether one more picture fits."""
        return self.left >= _LEAST

    def add(self, path: Path, *, detailed: bool) -> Thumbnail:
        """Reduce the picture of a file; a `detailed` one has writing in it, and gets more pixels.

        Raises:
            ValueError: no image, broken, or too large; without its name.
            OSError: it cannot be read.
        """
        with open_plain(path) as file:
            content = hashlib.file_digest(file, "sha256").digest()
            if content in self._made:
                return self._made[content]
            file.seek(0)
            image, full = _decode(file, (2 * self.side, 6 * self.side) if detailed else (self.side, self.side))
        share = max(_LEAST, self.left // max(1, self._waiting))
        uri, image = _encode(image, min(_MOST * (2 if detailed else 1), share, self.left))
        self.left -= len(uri)
        self._waiting -= 1
        self._made[content] = Thumbnail(len(self._made), uri, *image.size, f"{full[0]} x {full[1]}")
        return self._made[content]


def _decode(file: BinaryIO, box: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
    """Return the picture in RGB, made small enough for the box (width, height), and the size of the file's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a large picture, which is asked below, and of broken metadata
            with Image.open(file, formats=_FORMATS) as image:
                full = image.size
                if (count := pixels_of(image)) > _MOST_PIXELS:
                    raise ValueError(f"has {count:,} pixels; at most {_MOST_PIXELS:,} are decoded")
                image.draft("RGB", box)
                small: Image.Image = image if image.mode in _SCALED else _eight_bits(image)
                small.thumbnail(box, Image.Resampling.LANCZOS)  # before anything that copies all pixels
                small = ImageOps.exif_transpose(small)
                if "transparency" in small.info or small.mode in ("LA", "RGBA"):
                    layer = small.convert("RGBA")
                    small = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
                return small.convert("RGB"), full
    except UnidentifiedImageError as error:
        raise ValueError("is no image that can be read") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"has too many pixels; at most {_MOST_PIXELS:,} are decoded") from error
    except (OSError, SyntaxError, EOFError, ArithmeticError, TypeError, LookupError) as error:
        raise ValueError(f"is damaged: {reason(error)}") from error  # what Pillow raises on damaged files


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits
        return image.convert("I").point(lambda value: value / 256).convert("L")
    return image.convert("RGBA" if "transparency" in image.info or image.mode in ("PA", "La", "RGBa") else "RGB")


def _encode(image: Image.Image, most: int) -> tuple[str, Image.Image]:
    """Return the picture as WebP within so many characters: smaller, and again, where it takes more."""
    while True:
        uri = data_uri(image)
        if len(uri) <= most or max(image.size) <= 16:
            return uri, image
        image = image.resize((max(1, image.width * 4 // 5), max(1, image.height * 4 // 5)), Image.Resampling.LANCZOS)


def data_uri(image: Image.Image) -> str:
    """Return a picture as WebP, without the file's metadata (places, cameras), as an address that holds it."""
    data = io.BytesIO()
    image.save(data, "WEBP", quality=80, method=2)
    return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
