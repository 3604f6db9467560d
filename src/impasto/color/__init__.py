"""Lightness and chroma apart and together again, what a colorizer predicts, and colours given to another image."""

from impasto.color.matching import (
    Colours,
    MatchedColours,
    PaintingColours,
    PhotoChroma,
    match_colours,
    match_histograms,
)
from impasto.color.predicted import CODES, ChromaCode, ColourCode, colour_code
from impasto.color.spaces import Space, join_chroma, join_lightness, lab, studio_luma, yuv

__all__ = [
    "CODES",
    "ChromaCode",
    "ColourCode",
    "Colours",
    "MatchedColours",
    "PaintingColours",
    "PhotoChroma",
    "Space",
    "colour_code",
    "join_chroma",
    "join_lightness",
    "lab",
    "match_colours",
    "match_histograms",
    "studio_luma",
    "yuv",
]
