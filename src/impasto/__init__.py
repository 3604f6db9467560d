"""impasto: train, compare and serve networks that are judged by perceptual losses."""

__version__ = "0.1.0"
