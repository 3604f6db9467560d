"""A comparison measured into a folder, for tests."""

import json
from pathlib import Path
from typing import Any

from impasto.evaluation.comparison import Comparison, run_comparison


def compared(comparison: Comparison, folder: Path, *, resume: bool = False, **keys: Any) -> dict[str, Any]:
    """Run a comparison; return what its JSON holds, which must be JSON in the strict sense."""
    about = {"keys": keys, **comparison.about()}
    run_comparison(comparison, folder, about=about, resume=resume, progress=lambda done, name: None)
    text = (folder / f"{comparison.name}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text, parse_constant=lambda name: 1 / 0)
    return found
