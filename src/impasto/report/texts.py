"""Plain data as short texts: flattened configurations, shortened texts, times and numbers for people."""

import html
import json
import math
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

from impasto.redaction import without_secrets

_MOST_KEYS = 400  # of a flattened configuration; a large one has some 150


class Allowance:
    """How many bytes texts may still take in the page, where they are escaped and in UTF-8."""

    def __init__(self, size: int) -> None:
        self.left = size

    def cut(self, text: str, most: int, *, where: str) -> str:
        """Return a text, shortened where it is longer than `most` bytes or than what is left; `where` has the whole."""
        most = min(most, self.left)
        kept = text[:most]
        while (size := _size(kept)) > most:
            kept = kept[: min(len(kept) - 1, len(kept) * most // size)]
        self.left -= size
        if len(kept) == len(text):
            return text
        return f"{kept}\n... ({len(text) - len(kept):,} more characters in {where})"


def _size(text: str) -> int:
    return len(html.escape(text).encode("utf-8", "replace"))


def flatten(value: object) -> dict[str, str]:
    """Return plain nested data as texts by keys with dots: `{"data.batch_size": "4"}`.

    Lists without mappings in them are one text. What is beyond a large configuration is left out and said.
    """
    pairs = list(islice(_pairs(value, ""), _MOST_KEYS + 1))
    return dict(pairs) if len(pairs) <= _MOST_KEYS else dict(pairs[:-1]) | {"...": "further keys"}


def _pairs(value: object, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _pairs(item, f"{name}.{key}"[:200] if name else str(key)[:200])
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for index, item in enumerate(value):
            yield from _pairs(item, f"{name}[{index}]"[:200])
    else:
        yield name, plain(value)[:500]


def plain(value: object) -> str:
    """Say a value as YAML or JSON has it; text as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{', '.join(plain(item) for item in value[:100])}]"
    return json.dumps(value, default=str, ensure_ascii=False)


def number(value: float) -> str:
    """Say a number with five significant digits: `"0.15231"`, `"1.0621e+06"`, `"NaN"`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    return f"{int(value):,}" if value == int(value) and abs(value) < 1e7 else f"{value:.5g}"


def duration(seconds: float | None) -> str:
    """Say a time: `"9.5 s"`, `"0:03:05"`, `"3 days, 2:00:00"`; `"-"` for None."""
    if seconds is None or not 0 <= seconds < 1e12:
        return "-"
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def size(count: int) -> str:
    """Say a number of bytes: `"1.2 MB"`."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"


def clean(value: Any) -> str:  # noqa: ANN401 (whatever a JSON file holds)
    """Return a text that can be shown: without secrets, and bytes of file names that are no UTF-8 as question marks."""
    return without_secrets(plain(value)).encode("utf-8", "replace").decode("utf-8")
