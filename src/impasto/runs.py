"""Trained networks by where they are: a run folder, a file, or the name of a style that we ship."""

from pathlib import Path

from impasto.networks import Trained, load_network
from impasto.suggest import did_you_mean

WEIGHTS = Path(__file__).parent / "weights"


def shipped_styles() -> list[str]:
    """List the styles whose networks come with the package."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def load_shipped(style: str) -> Trained:
    """Load the network that we trained for a style.

    Raises:
        FileNotFoundError: none is shipped for this style; says how to train one.
    """
    if style not in shipped_styles():
        raise FileNotFoundError(
            f"no network is shipped for style={style}{did_you_mean(style, shipped_styles())} "
            f"(shipped: {', '.join(shipped_styles())}); train one with 'impasto train style={style}', "
            "then give run=<its run folder>"
        )
    return load_network(WEIGHTS / f"{style}.safetensors")


def load_run(path: Path, *, system: str) -> Trained:
    """Load the network of a run.

    Args:
        path: a run folder, or a .safetensors file.
        system: what the network must be, such as "stylizer".

    Raises:
        FileNotFoundError: nothing is there, or the run has not saved a network yet.
        ValueError: not a network that impasto wrote, or one of another system.
    """
    if not path.exists():
        raise FileNotFoundError(f"no run folder {path}")
    file = path / "network.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"{path} holds no network.safetensors; expected the folder of an 'impasto train' run that has reached its "
            "first checkpoint"
        )
    trained = load_network(file)
    if trained.card.get("system") != system:
        raise ValueError(f"{file} holds a {trained.card.get('system')}; expected a {system}")
    return trained
