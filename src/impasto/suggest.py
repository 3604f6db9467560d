"""One sentence about a misspelt word: what came, and the nearest word that would have been right."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for a misspelt word, or `"; known are a, b, c"` where nothing is near."""
    words = sorted({str(k) for k in known})
    lower = {w.lower(): w for w in words}
    near = get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{lower[near[0]]}'?"
    return f"; known are {', '.join(words)}" if words else ""
