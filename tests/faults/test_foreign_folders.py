"""A run folder from somebody else is data: it reaches no server and no file outside of it."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers.searches import FINGERPRINT, search, start_or_resume
from widthwise.cli import main
from widthwise.core.errors import UserError
from widthwise.core.inside import read_inside
from widthwise.search.limits import Limits
from widthwise.study.measured import Measured, keep_measured, read_measured
from widthwise.study.run_folder import load_run, resume_run
from widthwise.study.runs import list_runs, remove_run

COMMANDS = ("report", "trials", "rm --yes", "runs", "importance", "export --trial 0 --out o", "measure")


@contextmanager
def _listening() -> Iterator[tuple[int, list[bytes]]]:
    """A server's port, and what came to it."""
    heard: list[bytes] = []

    def answer() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connection.settimeout(0.5)
            heard.append(connection.recv(1000))
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1], heard


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_connects_to_what_a_folder_names(tmp_path: Path, command, monkeypatch, capsys) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.delenv("WIDTHWISE_STORAGE", raising=False)
    run = tmp_path / "run"
    search(run, batch_size=100)
    with _listening() as (port, heard):
        url = f"postgresql+psycopg://me@127.0.0.1:{port}/db"
        (run / "storage.json").write_text(json.dumps({"url": url, "study": "run"}))
        name, *rest = command.split()
        status = main([name, str(run), *rest])
    said = capsys.readouterr()
    assert heard == []
    assert url in said.err
    if name == "rm":
        assert status == 0
        assert not run.exists()
    elif name != "runs":
        assert status == 2
        assert f"--storage {url}" in said.err
        assert said.err.count("\n") == 1


def test_a_server_that_the_user_names_is_connected_to(tmp_path: Path) -> None:
    run = tmp_path / "run"
    search(run, batch_size=100)
    with _listening() as (port, heard):
        url = f"postgresql+psycopg://me@127.0.0.1:{port}/db"
        (run / "storage.json").write_text(json.dumps({"url": "postgresql://elsewhere/x", "study": "run"}))
        with pytest.raises(UserError):
            load_run(run, storage=url)
    assert heard


HIDING = {
    "a host in the query": "postgresql+psycopg://me@localhost/db?host=evil",
    "a file of passwords": "postgresql+psycopg://me@localhost/db?passfile=/etc/passwd",
    "a file of services": "postgresql+psycopg:///?service=evil",
    "escapes": "postgresql+psycopg://me@localhost/\x1b[2K",
    "another kind": "mysql://localhost/db",
    "none": "study",
}


@pytest.mark.parametrize("url", HIDING.values(), ids=list(HIDING))
def test_a_url_that_hides_where_it_leads_is_not_offered(tmp_path: Path, url: str) -> None:
    search(tmp_path / "run", batch_size=100)
    (tmp_path / "run" / "storage.json").write_text(json.dumps({"url": url, "study": "run"}))
    with pytest.raises(UserError, match=r"name.*: --storage URL$"):
        load_run(tmp_path / "run")


def test_deleting_a_run_leaves_the_study_of_another_alone(tmp_path: Path) -> None:
    search(tmp_path / "mine", batch_size=100)
    search(tmp_path / "theirs", batch_size=100)
    mine = tmp_path / "mine" / "study.db"
    (tmp_path / "theirs" / "storage.json").write_text(
        json.dumps({"url": f"sqlite:///{mine}", "study": "mine"})
    )
    (tmp_path / "theirs" / "config.toml").write_text('task = "cls"\n# another')
    with pytest.raises(UserError, match=r"has another config\.toml than study mine"):
        remove_run(tmp_path / "theirs", storage=f"sqlite:///{mine}")
    remove_run(tmp_path / "theirs")
    assert load_run(tmp_path / "mine").summary.trials == 729


def test_links_in_a_run_folder_are_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for name in ("log.txt", "config.toml", "storage.json", "study.db", "study.db-wal", "study.db-1.lock"):
        run = tmp_path / f"with {name}"
        search(run, batch_size=100, limits=Limits(trials=200))
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(precious)
        with pytest.raises(UserError, match=f"{name}: is a link") as caught:
            resume_run(run, FINGERPRINT)
        assert "\n" not in str(caught.value)
        (listed,) = list_runs(run)
        assert (listed.trouble is None) == (name == "study.db-1.lock")
    assert precious.read_text() == "mine"


def test_a_log_that_is_another_file_by_a_hard_link_is_not_appended_to(tmp_path: Path) -> None:
    search(tmp_path / "run", batch_size=100, limits=Limits(trials=200))
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "run" / "log.txt").unlink()
    (tmp_path / "run" / "log.txt").hardlink_to(tmp_path / "precious")
    with pytest.raises(UserError, match=r"log\.txt: has a second name"), start_or_resume(tmp_path / "run"):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


def test_folders_in_a_run_that_are_links_are_neither_written_nor_emptied(tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    search(run, batch_size=100)
    other.mkdir()
    (run / "measured").symlink_to(other)
    with pytest.raises(UserError, match="measured: is a link"):
        keep_measured(run, 3, Measured("yosys", "1", {"yosys_luts": 1.0}))
    with pytest.raises(UserError, match="measured: is a link"):
        read_measured(run)
    assert list(other.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "pipe", "device", "holes"])
@pytest.mark.parametrize("name", ["front", "standard_errors.json", "realised.json", "measured", "weights"])
def test_what_a_run_keeps_is_read_from_regular_files_alone(tmp_path: Path, name: str, kind: str) -> None:
    run = tmp_path / "run"
    search(run, batch_size=100)
    names = {
        "measured": "measured/trial-3.yosys.json",
        "front": "slots.json",
        "weights": "weights.safetensors",
    }
    path = run / names.get(name, name)
    path.parent.mkdir(exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "holes":
        with path.open("wb") as file:
            file.truncate(2**40)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "/etc/hostname")
    with pytest.raises(UserError):
        read_inside(run, names.get(name, name))

    def read() -> None:
        study = load_run(run)
        study.as_json()
        study.network(0)

    with pytest.raises(UserError):
        read()


def test_an_exported_folder_is_read_from_files_that_lie_in_it(tmp_path: Path) -> None:
    from widthwise.export.torch import NETWORK, WEIGHTS, read_realised

    (tmp_path / "e").mkdir()
    (tmp_path / "e" / NETWORK).symlink_to("/etc/hostname")
    with pytest.raises(UserError, match=r"network\.json: is a link"):
        read_realised(tmp_path / "e")
    (tmp_path / "e" / NETWORK).unlink()
    (tmp_path / "e" / NETWORK).write_text('{"version": 1}')
    (tmp_path / "e" / WEIGHTS).symlink_to("/dev/zero")
    with pytest.raises(UserError, match=r"weights\.safetensors: is a link"):
        read_realised(tmp_path / "e")
