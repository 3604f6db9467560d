"""Images that are too large for memory, strip by strip."""

from impasto.strips.image import Image, Strips, pointwise

__all__ = ["Image", "Strips", "pointwise"]
