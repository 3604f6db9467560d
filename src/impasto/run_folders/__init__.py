"""Run folders: what they hold, how that is written, read with care, and found."""

from impasto.run_folders.finding import find_runs, names_of, natural
from impasto.run_folders.folder import MARKS, PASSED_OVER, RunFolder, is_alive
from impasto.run_folders.reading import Curve, is_inside, open_plain, read_text, read_yaml, reason

__all__ = ["MARKS", "PASSED_OVER", "Curve", "RunFolder", "find_runs", "is_alive", "is_inside", "names_of", "natural"]
__all__ += ["open_plain", "read_text", "read_yaml", "reason"]
