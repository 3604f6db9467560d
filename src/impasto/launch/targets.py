"""Keys beside a `_target_` that it does not take, and targets that do not exist, become a sentence."""

import inspect
from typing import Any, Unpack, get_args, get_origin

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from impasto.suggest import did_you_mean

_RESERVED = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}


def check_targets(cfg: DictConfig) -> None:
    """Refuse keys beside a `_target_` that it does not take, wherever they came from, and targets that do not exist."""
    _check(OmegaConf.to_container(cfg, resolve=False), "")


def _check(node: Any, path: str) -> None:  # noqa: ANN401 (any YAML)
    if isinstance(node, list):
        for index, item in enumerate(node):
            _check(item, f"{path}[{index}]")
    if isinstance(node, dict):
        known = _arguments(node["_target_"], path) if "_target_" in node else None
        for key, value in node.items():
            if known is not None and key not in known | _RESERVED:
                raise ValueError(f"{path}.{key}: {node['_target_']} takes no '{key}'{did_you_mean(key, known)}")
            _check(value, f"{path}.{key}" if path else str(key))


def _arguments(target: str, path: str) -> set[str] | None:
    """Names that the target takes; None where it takes any."""
    try:
        callable_ = get_object(target)
    except Exception as error:
        raise ValueError(f"{path}._target_: cannot import '{target}' ({error})") from error
    try:
        parameters = inspect.signature(callable_).parameters.values()
    except ValueError:  # a builtin without a signature
        return None
    names: set[str] = set()
    for parameter in parameters:
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            names.add(parameter.name)
        elif get_origin(parameter.annotation) is Unpack:  # of a TypedDict, which says what they are
            names |= get_args(parameter.annotation)[0].__annotations__.keys()
        else:
            return None
    return names
