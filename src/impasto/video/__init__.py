"""Moving pictures: clips read and written frame by frame, and pictures steadied along the optical flow."""

from impasto.video.steadying import Steadying, moved, optical_flow

__all__ = ["Steadying", "moved", "optical_flow"]
