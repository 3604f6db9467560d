"""LightningModules: a network, a loss and an optimiser, and what happens at each step."""

from impasto.systems.stylizer import StylizerSystem

__all__ = ["StylizerSystem"]
