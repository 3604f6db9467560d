"""impasto dashboard shows what logger=trackio has logged, and nobody can change it there."""

import json
import signal
import sys
import urllib.request
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from browser import browser
from processes import start
from served import served

_NO_TRACKIO = pytest.mark.skipif(find_spec("trackio") is None, reason="no trackio: pip install -e '.[dashboard]'")
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder in which a training has logged to trackio."""
    process = start(tmp_path, "train", "experiment=smoke_train", "logger=trackio")
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    return tmp_path


@_NO_TRACKIO
@pytest.mark.slow
def test_the_page_shows_runs_and_samples_cannot_be_changed_and_ends_quietly(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("TRACKIO_DIR", str(trained / "elsewhere"))
    with served(trained, "dashboard") as (address, process), browser() as visit:
        page = visit.page
        page.goto(f"{address}/?project=impasto")
        page.get_by_text("smoke_train").first.wait_for(timeout=30_000)
        page.get_by_role("button", name="Media & Tables").click()
        page.wait_for_function("() => [...document.images].some(image => image.naturalWidth > 30)")
        assert [error for error in visit.errors if "ERR_ABORTED" not in error] == []
        assert all(url.startswith((address, "data:", "blob:")) for url in visit.requests)
        body = json.dumps({"project": "impasto", "run": "run"}).encode()
        request = urllib.request.Request(f"{address}/api/delete_run", body, {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            _OPENER.open(request, timeout=30)
        refused.value.close()
        assert 400 <= refused.value.code < 500
        assert process.stdout is not None
        assert process.stdout.readline() == f"open {address}/?project=impasto in a browser; Ctrl-C ends it\n"
        process.send_signal(signal.SIGINT)
        assert (process.communicate(timeout=30)[0], process.returncode) == ("", 0)


def test_without_trackio_the_extra_is_named(
    impasto: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    (tmp_path / "impasto.db").touch()
    result = impasto("dashboard", f"store={tmp_path}")
    assert result.code == 1
    assert result.err.endswith("needs trackio, which is not installed; expected pip install -e '.[dashboard]'\n")


@_NO_TRACKIO
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "error: .trackio holds no runs of project=impasto; 'impasto train logger=trackio' logs some"),
        (("port=0",), "expected port to be greater than or equal to 1, got 0"),
    ],
)
def test_bad_input_gets_one_sentence(impasto: Callable[..., Any], arguments: tuple[str, ...], message: str) -> None:
    result = impasto("dashboard", *arguments)
    assert result.code == 1
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1, result.err
