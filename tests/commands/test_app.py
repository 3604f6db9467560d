"""impasto app: what it refuses before it starts, what the server answers, how it ends."""

import json
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from served import free_port, served

_NO_GRADIO = pytest.mark.skipif(find_spec("gradio") is None, reason="no gradio: pip install -e '.[app]'")
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def test_without_gradio_the_extra_is_named(impasto: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    result = impasto("app")
    assert result.code == 1
    assert result.err.endswith("needs gradio, which is not installed; expected pip install -e '.[app]'\n")


@_NO_GRADIO
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("port=0", "expected port to be greater than or equal to 1, got 0"),
        ("host=192.0.2.1", "host=192.0.2.1 with port="),
        ("networks=[nowhere]", "'nowhere' is neither a run folder, a network file nor a shipped network"),
        ("networks=notes.txt", "notes.txt is not a safetensors file"),
        ("device=cuda", "device=cuda needs a GPU"),
        ("most_megapixels=0", "expected most_megapixels to be greater than 0, got 0"),
        ("most_megabytes=many", "expected most_megabytes to be a valid number, got many"),
    ],
)
def test_bad_input_gets_one_sentence(
    impasto: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, message: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no network")
    arguments = [override] if override.startswith("port=") else [override, f"port={free_port()}"]
    result = impasto("app", *arguments)
    assert result.code == 1
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1, result.err


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if find_spec("gradio") is None:
        pytest.skip("no gradio: pip install -e '.[app]'")
    with served(tmp_path_factory.mktemp("app"), "app", "most_megabytes=1") as (address, _):
        yield address


def _ask(url: str, data: bytes | None = None, kind: str = "application/json") -> tuple[int, str]:
    request = urllib.request.Request(url, data, {"Content-Type": kind} if data is not None else {})
    try:
        with _OPENER.open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _event(address: str, name: str, data: list[Any]) -> dict[str, Any]:
    """What an event of the page answers to a request that no browser made."""
    config = json.loads(_ask(f"{address}/config")[1])
    index = next(d["id"] for d in config["dependencies"] if d["api_name"] == name)
    session = f"s{time.monotonic_ns()}"
    body = json.dumps({"data": data, "fn_index": index, "session_hash": session})
    assert _ask(f"{address}/gradio_api/queue/join", body.encode())[0] == 200
    with _OPENER.open(f"{address}/gradio_api/queue/data?session_hash={session}", timeout=60) as stream:
        for line in stream:
            message = json.loads(line.decode().removeprefix("data:")) if line.startswith(b"data:") else {}
            if message.get("msg") == "process_completed":
                return dict(message)
    raise AssertionError("no answer")


def _upload(address: str, content: bytes, name: str = "a.png") -> tuple[int, str]:
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + b"\r\n--x--\r\n"
    return _ask(f"{address}/gradio_api/upload", body, "multipart/form-data; boundary=x")


@pytest.mark.slow
@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json", "gradio_api/mcp/"])
def test_there_are_no_pages_of_an_interface(address: str, path: str) -> None:
    assert _ask(f"{address}/{path}")[0] == 404


@pytest.mark.slow
def test_no_event_is_offered_as_an_interface(address: str) -> None:
    assert json.loads(_ask(f"{address}/gradio_api/info")[1]) == {"named_endpoints": {}, "unnamed_endpoints": {}}


@pytest.mark.slow
def test_no_file_of_the_machine_is_served(address: str) -> None:
    for path in ("/etc/passwd", str(Path(__file__).resolve()), "https://192.0.2.1/a.png", "../../etc/passwd"):
        assert _ask(f"{address}/gradio_api/file={path}")[0] in (403, 404)
    assert _ask(f"{address}/gradio_api/proxy=https://192.0.2.1/a.png")[0] == 400


@pytest.mark.slow
def test_an_upload_that_is_too_large_is_refused(address: str) -> None:
    assert _upload(address, b"0" * (2**20 + 1))[0] == 413
    assert _upload(address, b"0" * 2**19)[0] == 200


@pytest.mark.slow
def test_the_name_of_an_upload_leads_nowhere_else(address: str) -> None:
    status, body = _upload(address, b"0", "../../../a.png")
    assert status == 200
    assert ".." not in body and "/impasto-app-" in body


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/etc/passwd", "https://192.0.2.1/a.png", "http://127.0.0.1:1/a.png"])
@pytest.mark.parametrize("key", ["path", "url"])
def test_a_request_cannot_name_a_file_or_an_address(address: str, path: str, key: str) -> None:
    named = {"path": "a.png", "meta": {"_type": "gradio.FileData"}, key: path}
    started = time.monotonic()
    answer = _event(address, "_on_upload", [named, "paint", None, "painting"])
    assert answer["success"] is False
    assert time.monotonic() - started < 10  # nobody waited for another host
    assert "passwd" not in json.dumps(answer) and "Traceback" not in json.dumps(answer)


@pytest.mark.slow
def test_an_address_is_refused_wherever_it_stands(address: str) -> None:
    named = {"path": "https://192.0.2.1/a.png", "meta": {"_type": "gradio.FileData"}}
    answer = _event(address, "_on_choice", [None, named, None, "painting"])
    assert answer["output"]["error"] == "expected an uploaded file, not an address"


@pytest.mark.slow
def test_nothing_is_computed_without_a_photograph(address: str) -> None:
    assert _event(address, "_on_download", [None, 50])["output"]["error"].startswith("the result was forgotten here")
    assert _event(address, "_on_choice", [None, "no such", None, "painting"])["success"] is False


@pytest.mark.slow
@_NO_GRADIO
def test_it_ends_quietly_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # gradio asks its own server whether it is up
    monkeypatch.setenv("GRADIO_ALLOWED_PATHS", "/etc")
    with served(tmp_path, "app") as (address, process):
        assert _ask(f"{address}/gradio_api/file=/etc/passwd")[0] == 403
        assert [path.name for path in (tmp_path / "tmp").iterdir() if path.name.startswith("impasto-app-")]
        assert process.stdout is not None
        assert process.stdout.readline() == f"open {address} in a browser; Ctrl-C ends it\n"
        time.sleep(0.5)  # Python writes the line twice where a signal comes while it flushes it
        process.send_signal(signal.SIGTERM)  # Ctrl-C: tests/app/test_page.py
        assert (process.communicate(timeout=30)[0], process.returncode) == ("", 0)
    assert not [path.name for path in (tmp_path / "tmp").iterdir() if path.name.startswith("impasto-app-")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tmp"]
