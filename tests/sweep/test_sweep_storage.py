"""A storage that cannot be had is told in one sentence without its password; one lost for a moment is tried again."""

import time
from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError
from optuna.study import StudyDirection

from impasto.sweep import storage
from impasto.sweep.storage import StorageLostError, open_storage, patient


@pytest.mark.parametrize("name", ["sqlite:///{}/new/study.db", "{}/new/journal.log"])
def test_databases_and_journals_are_made(tmp_path: Path, name: str) -> None:
    told = name.format(tmp_path)
    number = open_storage(told).create_new_study([StudyDirection.MINIMIZE], "one")
    assert open_storage(told).get_study_name_from_id(number) == "one"
    assert len([path for path in (tmp_path / "new").iterdir() if path.suffix != ".lock"]) == 1


@pytest.mark.parametrize(
    "name",
    [
        "nonsense://u:secret@h/x",
        "://u:secret@h",
        "postgresql://u:secret@h:port/x",
        "postgresql+nodriver://u:secret@h/x",
        "postgresql+psycopg2://u:secret@127.0.0.1:1/x",  # no driver, or no server
    ],
)
def test_a_database_that_cannot_be_used_is_refused_without_its_password(name: str) -> None:
    with pytest.raises(StorageLostError) as error:
        open_storage(name)
    assert str(error.value).startswith(f"the storage {name.replace('secret', '***')} cannot be used: ")
    assert "secret" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["sqlite:///{}/file/study.db", "{}/file/journal.log", "{}", "sqlite:///{}/file"])
def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("no database\n" * 100)
    told = name.format(tmp_path)
    with pytest.raises(StorageLostError) as error:
        open_storage(told)
    assert str(error.value).startswith(f"the storage {told} cannot be used: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("notes", ["my notes\n" * 3, "my notes\n", "my notes"])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path, notes: str) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(notes)
    with pytest.raises(StorageLostError, match=r"notes\.txt cannot be used: no journal file of Optuna"):
        open_storage(str(file))
    assert file.read_text() == notes


@pytest.mark.parametrize("torn", [b"{", b'{"op_code":2,"worker_id":"a","study_i', b"\0" * 5000])
def test_a_journal_whose_last_line_is_torn_goes_on_without_it(tmp_path: Path, torn: bytes) -> None:
    file = tmp_path / "journal.log"
    living = open_storage(str(file))
    number = living.create_new_study([StudyDirection.MINIMIZE], "one")
    whole = file.read_bytes()
    for storage_of in (open_storage(str(file)), living):
        file.write_bytes(file.read_bytes() + torn)
        storage_of.set_study_user_attr(number, "y", 1)
        storage_of.create_new_trial(number)
    assert file.read_bytes().startswith(whole)
    again = open_storage(str(file))
    assert again.get_study_user_attrs(number) == {"y": 1} and len(again.get_all_trials(number)) == 2


class _Flaky:
    """Fails some times, then answers."""

    storage_name = "postgresql://u:secret@h/x"

    def __init__(self, *, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    @patient
    def ask(self) -> str:
        """Answer or fail."""
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "answer"


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


@pytest.mark.parametrize("error", [StorageInternalError("gone"), OSError("gone")])
def test_a_storage_that_is_gone_for_a_moment_is_tried_again(
    slept: list[float], caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    flaky = _Flaky(failures=2, error=error)
    assert flaky.ask() == "answer"
    assert flaky.calls == 3 and slept == list(storage._WAITS[:2])
    assert "postgresql://u:***@h/x cannot be used: gone; trying again in 1 s" in caplog.text
    assert "secret" not in caplog.text


def test_a_storage_that_stays_away_is_given_up(slept: list[float]) -> None:
    flaky = _Flaky(failures=99, error=StorageInternalError("gone"))
    with pytest.raises(StorageLostError, match=r"^the storage postgresql://u:\*\*\*@h/x cannot be used: gone$"):
        flaky.ask()
    assert flaky.calls == len(storage._WAITS) + 1 and slept == list(storage._WAITS)


@pytest.mark.parametrize("error", [StorageLostError("x", OSError("given up")), KeyError("mine")])
def test_what_is_given_up_or_not_the_storages_is_not_tried_again(slept: list[float], error: Exception) -> None:
    flaky = _Flaky(failures=99, error=error)
    with pytest.raises(type(error)):
        flaky.ask()
    assert flaky.calls == 1 and not slept
