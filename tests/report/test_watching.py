"""A search watched live: who gets the page, what it is told, and how it ends."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.browser import chromium, complaints, open_page, requests
from helpers.places import ROOT
from helpers.studies import made_run
from widthwise.core.errors import UserError
from widthwise.report.watching import Server, Watched
from widthwise.study.run_folder import load_run
from widthwise.study.searching import is_searching
from widthwise.study.study import Study

SEARCH = [sys.executable, str(ROOT / "tests" / "helpers" / "searches.py")]
PLACES = os.pathsep.join([*(str(ROOT / part) for part in ("src", "tests")), os.environ.get("PYTHONPATH", "")])


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    study = made_run(tmp_path_factory.mktemp("runs") / "made")
    watched = Watched(lambda: load_run(study.folder))
    watched.look()
    with Server(watched) as server:
        yield server


def _asked(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of an answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.headers)


def test_only_its_own_address_with_its_token_gets_the_page(served):
    port, path = served.port, f"/{served.token}/"
    status, body, headers = _asked(port, path)
    assert (status, body[:15]) == (200, b"<!doctype html>")
    assert headers["Cache-Control"] == "no-store"
    assert _asked(port, path, Host=f"localhost:{port}")[0] == 200
    for wrong in (
        "/",
        "/page",
        "//page",
        f"/{served.token[:-1]}/",
        f"/{served.token}x/",
        f"/x/{served.token}/",
    ):
        status, body, _ = _asked(port, wrong)
        assert (status, b"html" in body) == (404, False), wrong
    assert _asked(port, f"{path}../../etc/passwd")[0] == 404
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", ""):
        assert _asked(port, path, Host=host)[0] == 403, host
    assert _asked(port, path, "POST")[0] == 501


def test_it_listens_on_this_machine_alone_and_the_token_is_long(served):
    assert served._server.server_address[0] == "127.0.0.1"
    assert len(served.token) >= 32
    with pytest.raises(UserError, match=f"--port {served.port}: can't be used"):
        Server(Watched(lambda: None), served.port)


def _started(command: list[str], place: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": PLACES}
    return subprocess.Popen(
        command, cwd=place, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


class _Going:
    """A study as it would be while its search goes on, and then its end."""

    def __init__(self, study: Study) -> None:
        self.study, self.trials, self.over = study, 100, False

    def __call__(self) -> Study:
        if self.over:
            return self.study
        holder = {"pid": os.getpid(), "host": socket.gethostname()}
        record = replace(self.study.record, finished=None, holder=holder)
        counts = replace(self.study.summary, trials=self.trials)
        return replace(self.study, record=record, finished=None, summary=counts)


def test_pages_are_told_of_trials_as_they_come_and_of_the_end(tmp_path):
    going = _Going(made_run(tmp_path / "made"))
    watched = Watched(going)
    watched.look()
    assert "the search goes on" in watched.page.decode()
    with (
        Server(watched) as server,
        closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection,
    ):
        connection.request("GET", f"/{server.token}/events")
        answer = connection.getresponse()
        assert answer.headers["Content-Type"] == "text/event-stream"
        watched.look()  # nothing came
        assert watched.number == 1
        going.trials, watched._next = 200, 0.0
        watched.look()
        assert answer.readline() == b"event: changed\n"
        assert b"200 trials" in _asked(server.port, f"/{server.token}/page")[1]
        going.over = True
        watched.look()
        server.finish()
        told = [line for line in answer.read().decode().splitlines() if line.startswith("event: ")]
        assert told[-2:] == ["event: changed", "event: ended"]
        assert not server.following
    assert '"live":false' in watched.page.decode()


def test_a_run_that_nobody_searches_is_not_watched(tmp_path):
    made_run(tmp_path / "made")
    watching = _started([sys.executable, "-m", "widthwise", "watch", "made"], tmp_path)
    assert "nobody is searching; `widthwise report made --html FILE`" in watching.communicate(timeout=120)[1]
    assert watching.returncode == 2


def test_a_search_whose_process_is_gone_is_over(tmp_path):
    study = _Going(made_run(tmp_path / "made"))()
    assert is_searching(study)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    holder = {"pid": gone.pid, "host": socket.gethostname()}
    assert not is_searching(replace(study, record=replace(study.record, holder=holder)))
    assert is_searching(replace(study, record=replace(study.record, holder={**holder, "host": "elsewhere"})))


def _watch(place: Path) -> tuple[subprocess.Popen[str], str]:
    """Watching a run that searches, and its address."""
    watching = _started([sys.executable, "-m", "widthwise", "watch", "run"], place)
    address = watching.stdout.readline().strip()
    assert address, watching.communicate()[1]
    return watching, address


@pytest.fixture
def searching(tmp_path):
    search = _started([*SEARCH, "run", "--pause", "1", "--batch", "20"], tmp_path)
    assert search.stdout.readline() == "started\n"
    while not load_run(tmp_path / "run").summary.trials:
        time.sleep(0.1)
    yield search, tmp_path
    search.kill()
    search.communicate()


@pytest.mark.slow
def test_ctrl_c_ends_watching_and_not_the_search(searching):
    search, place = searching
    watching, _ = _watch(place)
    watching.send_signal(signal.SIGINT)
    assert watching.communicate(timeout=60)[1] == ""
    assert watching.returncode == 130
    assert search.poll() is None


@pytest.mark.slow
def test_a_browser_follows_the_search_and_keeps_what_was_selected(searching):
    watching, address = _watch(searching[1])
    with chromium() as browser:
        open_page(browser, address)
        # One step in the page: between finding the button and clicking it the page may draw itself anew.
        number = browser.execute_script(
            "const chosen = document.querySelector('button[data-select]');"
            "chosen.click(); return chosen.dataset.select"
        )
        before = len(browser.execute_script("return JSON.parse(study.textContent).points.numbers"))
        out, _ = watching.communicate(timeout=120)
        assert "has ended" in out
        time.sleep(0.5)
        after = len(browser.execute_script("return JSON.parse(study.textContent).points.numbers"))
        assert before < after == 729
        assert browser.find_element("css selector", "#selected h3").text == f"Trial {number}"
        assert complaints(browser) == []
        assert all(asked.startswith(address) for asked in requests(browser))
