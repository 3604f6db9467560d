"""Moving pictures: clips read and written frame by frame, and pictures steadied along the optical flow."""

from impasto.video.flow import moved, optical_flow
from impasto.video.steadying import Steadying

__all__ = ["Steadying", "moved", "optical_flow"]
