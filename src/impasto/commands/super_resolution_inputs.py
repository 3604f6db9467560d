"""What an evaluation of super-resolution works on: sets, factors, networks, each refused early where it is wrong."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from impasto.evaluation.super_resolution import Protocol, check_size, read_test_image
from impasto.listing import find_images
from impasto.networks import FACTORS, Trained
from impasto.runs import load_named
from impasto.suggest import did_you_mean

_RESERVED = ("bicubic", "low", "truth")  # columns that no network makes


def check_mappings(**groups: object) -> None:
    """Refuse a part of the configuration that is no mapping, such as `evaluation.networks=null`.

    Raises:
        ValueError: says which.
    """
    for name, value in groups.items():
        if not isinstance(value, Mapping):
            raise ValueError(f"expected evaluation.{name} to have keys and values, got {value}")


def chosen_factors(factors: Sequence[int] | int | None) -> list[int]:
    """Return the factors that are wanted.

    Raises:
        ValueError: another than 4 and 8, or none.
    """
    listed = list(FACTORS) if factors is None else factors
    listed = [listed] if isinstance(listed, int | float | str) else list(listed)
    if not listed or any(factor not in FACTORS or not isinstance(factor, int) for factor in listed):
        raise ValueError(f"expected factors of {' and '.join(map(str, FACTORS))}, got {factors}")
    return list(dict.fromkeys(listed))


def chosen_sets(sets: Sequence[str] | str | None, folders: Mapping[str, str]) -> list[str]:
    """Return the names of the sets that are wanted.

    Raises:
        ValueError: none, or one that has no folder; names the nearest.
    """
    listed = list(folders) if sets is None else [sets] if isinstance(sets, str) else list(sets)
    if not listed:
        raise ValueError(f"expected sets out of {', '.join(folders)}, got none")
    for name in map(str, listed):
        if name not in folders:
            raise ValueError(f"unknown set '{name}'{did_you_mean(name, folders)}")
    return list(dict.fromkeys(map(str, listed)))


def images_of(name: str, folders: Mapping[str, str]) -> dict[str, Path]:
    """Return the files of a set by their names, relative to its folder.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it holds no images.
    """
    folder = Path(str(folders[name])).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no folder {folder} with the images of {name}; expected it below data_root (IMPASTO_DATA), or "
            f"evaluation.folders.{name}=<folder>"
        )
    return {str(found.name): found.path for found in find_images(folder)}


def load_networks(
    factor: int, networks: Mapping[str, Mapping[str, str | None] | None]
) -> dict[str, tuple[str, Trained]]:
    """Load the networks of a factor, each with what the user calls it.

    Raises:
        ValueError: a network of another factor or system, or a name that is taken.
        FileNotFoundError: nothing is there.
    """
    for key in networks:
        if key not in [f"x{known}" for known in FACTORS]:
            raise ValueError(f"expected evaluation.networks of x4 and x8, got {key}")
    loaded = {}
    told = networks.get(f"x{factor}") or {}
    check_mappings(**{f"networks.x{factor}": told})
    for name, text in told.items():
        if name in _RESERVED:
            raise ValueError(f"'{name}' cannot name a network; {', '.join(_RESERVED)} are columns already")
        if text is None:
            continue
        trained = load_named(str(text), system="upscaler")
        if (found := trained.card["network"].get("factor")) != factor:
            raise ValueError(f"evaluation.networks.x{factor}.{name}={text} enlarges by {found}; expected {factor}")
        loaded[str(name)] = (str(text), trained)
    return loaded


def check_images(images: Mapping[str, Mapping[str, Path]], factors: Sequence[int], rule: Protocol) -> None:
    """Refuse before the work what cannot be measured: a mean over the others would be another set's.

    Raises:
        ValueError: a file that is no image, damaged, or too small; names it.
    """
    for paths in images.values():
        for path in paths.values():
            photo = read_test_image(path).photo
            for factor in factors:
                try:
                    check_size(photo, factor, rule)
                except ValueError as error:
                    raise ValueError(f"{path}: {error}") from error
