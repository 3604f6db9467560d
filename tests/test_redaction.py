"""Passwords and tokens are neither shown, nor logged, nor sent away; what must keep them is its owner's alone."""

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from impasto.files import write_text
from impasto.redaction import Formatter, _secrets, without_secrets


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("https://u:secret@h:80/x is gone", "https://***@h:80/x is gone"),
        ("urls: 'http://t0ken@h/x'", "urls: 'http://***@h/x'"),
        ("http://u:se/c@ret@h/x", "http://***@h/x"),
        ("'https://h/x?token=a/b&c=d', then", "'https://h/x?***', then"),
        ('{"a":"https://h:80/x?sig=1","b":"me@h"}', '{"a":"https://h:80/x?***","b":"me@h"}'),
        ("pipe:curl -H 'Authorization: Bearer abc.def' https://h/{}", None),
        ("pipe:curl -H 'X-Auth-Token: abc.def' https://h/{}", None),
        ("postgresql://u:abc.def@h/x", "postgresql://u:***@h/x"),
        ("https://h/x and a photo@2x.png, why? hf://datasets/a/b@main", "<as it is>"),
        ("open http://127.0.0.1:7861/?project=impasto in a browser", "<as it is>"),
        ("https://h/x?project=a&token=b", "https://h/x?***"),
        ("token of the study, 16 tokens, key: 3", "<as it is>"),
    ],
)
def test_what_lets_somebody_in_is_left_out(text: str, without: str | None) -> None:
    assert "abc.def" not in without_secrets(text)
    if without is not None:
        assert without_secrets(text) == (text if without == "<as it is>" else without)


def test_what_comes_from_a_secret_variable_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARDS_TOKEN", "4f7a-91b")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false-ish")
    _secrets.cache_clear()
    assert without_secrets("pipe:get 4f7a-91b {} false-ish") == "pipe:get *** {} false-ish"
    monkeypatch.undo()
    _secrets.cache_clear()


@pytest.mark.parametrize("text", ["://a:" * 20_000, "https://" * 10_000, "https://a" * 10_000, "token=" * 10_000])
def test_no_text_takes_long(text: str) -> None:
    begin = time.process_time()
    without_secrets(text)
    assert time.process_time() - begin < 5


def test_a_log_is_without_them_and_a_file_that_holds_one_is_its_owners(tmp_path: Path) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s is gone", ("https://u:secret@h/x",), None)
    assert Formatter("%(levelname)s %(message)s").format(record) == "INFO https://***@h/x is gone"
    for name, text in (("open", "https://h/x"), ("closed", "https://u:secret@h/x")):
        write_text(tmp_path / name, text)
        assert (tmp_path / name).read_text(encoding="utf-8") == text
    assert (tmp_path / "closed").stat().st_mode & 0o077 == 0 != (tmp_path / "open").stat().st_mode & 0o077


def test_a_run_its_report_and_its_wandb_files_are_without_them(impasto: Callable[..., Any], tmp_path: Path) -> None:
    address = 'data.urls="http://usr:PASSWORDX@127.0.0.1:9/x?signed=TOKENX"'
    words = ["experiment=smoke_train", "data=shards", "~data.train", "~data.val", "seed=1", address]
    result = impasto("train", "--multirun", *words)
    assert result.code == 1
    assert "got http://***@127.0.0.1:9/x?***" in result.err
    assert "HYDRA" in result.out and "Error executing job" in result.err
    told = result.out + result.err
    assert impasto("report", "outputs").code == 0
    holding = []
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        if re.search(rb"PASSWORDX|TOKENX", path.read_bytes()):
            holding.append(path)
            assert path.stat().st_mode & 0o077 == 0, path
    assert {path.name for path in holding} == {"config.yaml", "hydra.yaml", "overrides.yaml", "multirun.yaml"}
    assert not re.search("PASSWORDX|TOKENX", told)
