"""Texts without the secrets in them: what is shown, logged or sent away says *** in place of a password."""

import logging
import os
import re
from functools import cache
from typing import Any, TextIO

_RULES = [  # bounded, so that no text takes long
    (r"(https?://)(?:[^\s/?#@:\"'\\]{0,500}:[^\s\"\\]{0,500}|[^\s/?#@\"'\\]{0,500})@", r"\1***@"),
    (r"(://[^\s/?#@:\"'\\]{0,500}:)[^\s\"\\]{0,500}@", r"\1***@"),
    (r"(https?://[^\s?\"'\\]{0,500}\?)(?!project=[^\s&]*(?:\s|$))[^\s\"'\\]+", r"\1***"),  # but trackio's own
    (r"(authorization[:=]\s*(?:(?:basic|bearer|token)\s+)?)[^\s\"'\\]+", r"\1***"),
    (r"((?:token|secret|password|signature|(?:api|access|secret)[_-]?key)[\"']?(?:=|: ?)[\"']?)[^\s&\"'\\]+", r"\1***"),
]
_VARIABLE = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|KEY)$")
_SHORTEST = 8  # characters of a variable's value that is taken for a secret


def without_secrets(text: str) -> str:
    """Put *** for what lets somebody in.

    That is: who reads an address and what stands behind its question mark, values called password, token, secret or
    key, and the values of environment variables whose names end in TOKEN, SECRET, PASSWORD or KEY.
    """
    text = _secrets().sub("***", text)
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text, flags=re.IGNORECASE)
    return text


@cache
def _secrets() -> re.Pattern[str]:
    """The values of the secret variables, as they are when the first text is asked for."""
    values = {v for name, v in os.environ.items() if len(v) >= _SHORTEST and _VARIABLE.search(name)}
    return re.compile("|".join(map(re.escape, sorted(values, key=len, reverse=True))) or r"(?!)")


class Formatter(logging.Formatter):
    """Lines of a log without secrets, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return without_secrets(super().format(record))


class Shown:
    """A stream without secrets: Hydra prints the words of each job."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text without its secrets."""
        return self._stream.write(without_secrets(text))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever a stream has)
        """All else is the stream's."""
        return getattr(self._stream, name)
