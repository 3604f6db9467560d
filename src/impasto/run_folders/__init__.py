"""Run folders: what they hold, how that is written, read with care, and found."""

from impasto.run_folders.folder import MARKS, PASSED_OVER, RunFolder, find_runs, is_alive, names_of, natural
from impasto.run_folders.reading import Curve, open_inside, read_text, reason

__all__ = ["MARKS", "PASSED_OVER", "Curve", "RunFolder", "find_runs", "is_alive", "names_of", "natural"]
__all__ += ["open_inside", "read_text", "reason"]
