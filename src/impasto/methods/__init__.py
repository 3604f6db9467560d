"""Methods: a trained network as a function of photographs, with what it says of each."""

from collections.abc import Callable

from impasto.methods.colouring import Colouring, describe_scene, describe_scenes
from impasto.methods.method import PLAIN, Applied, Engine, Method, Seen
from impasto.methods.stylizing import Stylizing
from impasto.methods.upscaling import Upscaling
from impasto.networks import Trained

__all__ = [
    "PLAIN",
    "Applied",
    "Colouring",
    "Engine",
    "Method",
    "Seen",
    "Stylizing",
    "Upscaling",
    "describe_scene",
    "describe_scenes",
    "method_of",
]

_KINDS: dict[str, Callable[[Trained, Engine], Method]] = {
    "stylizer": Stylizing,
    "colorizer": Colouring,
    "upscaler": Upscaling,
}


def method_of(trained: Trained, engine: Engine = PLAIN) -> Method:
    """Return what a trained network, computed by an engine, does to photographs; refuse one of another system."""
    system = str(trained.card.get("system"))
    if system not in _KINDS:
        raise ValueError(f"expected a network of {', '.join(_KINDS)}, got one of {system}")
    return _KINDS[system](trained, engine)
