"""How commands end when somebody stops them, asks back, or stops listening: real processes and terminals."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import pytest

import widthwise as ww

PROGRAM = [sys.executable, "-m", "widthwise"]
# a network that takes a moment, and can't be traced, so that candidates come one at a time
SLOW = """\
import time

from torch import nn


class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 5)

    def forward(self, x):
        if x.sum() > 1e9:
            return x
        time.sleep(0.05)
        return self.layer(x)
"""


@pytest.fixture
def slow(demo: Path) -> Path:
    """The demo with a slow network, and a strategy that asks for one candidate at a time."""
    (demo.parent / "slow.py").write_text(SLOW)
    text = demo.read_text().replace('"jsc-tiny"', '"slow:Slow"').replace('"brute-force"', '"tpe"')
    demo.write_text(text.replace("weight_width = [2, 4, 8]", "weight_width = [2, 3, 4, 5, 6, 7, 8, 9, 10]"))
    return demo


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The program, once its first trials are stored."""
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "100", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if ww.load_run(folder / "here").summary.trials >= 2:
                return process
        except ww.UserError:
            pass
        time.sleep(0.3)  # looking takes as long as a trial
    process.kill()
    raise AssertionError(process.communicate())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "says"),
    [(signal.SIGINT, 130, "Stopped by Ctrl-C: "), (signal.SIGTERM, 143, "Stopped by SIGTERM: ")],
)
def test_a_signal_keeps_what_is_done_and_says_how_to_go_on(
    number: int, status: int, says: str, slow: Path
) -> None:
    process = started(slow.parent, "search", "demo.toml", "--out", "here")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in err
    assert says in out
    assert "Best trial(s), cheapest first:" in out
    assert "Go on: widthwise search here/config.toml --resume --out here" in out
    kept = ww.load_run(slow.parent / "here").summary.trials
    assert f"{says}{kept} trials" in out
    more = ["--trials", str(kept + 2), "--no-page"]
    again = [*PROGRAM, "search", "here/config.toml", "--resume", "--out", "here", *more]
    assert subprocess.run(again, cwd=slow.parent, capture_output=True, check=False).returncode == 0
    assert ww.load_run(slow.parent / "here").summary.trials == kept + 2


def on_a_terminal(folder: Path, answers: dict[str, str], *arguments: str) -> tuple[str, int]:
    """What the program shows on a terminal where each question gets its answer, and its status."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ |= {"TERM": "xterm", "COLUMNS": "100", "PYTHONDONTWRITEBYTECODE": "1"}
        os.execv(sys.executable, [*PROGRAM, *arguments])
    shown, deadline = "", time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                shown += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # the terminal is closed
                break
        for question in [asked for asked in answers if asked in shown]:
            os.write(terminal, answers.pop(question).encode())
    os.close(terminal)
    return shown, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "status", "trials", "folders"),
    [("r", 0, 6, ["runs/demo"]), ("n", 0, 4, ["runs/demo", "runs/demo-2"]), ("c", 1, 4, ["runs/demo"])],
)
def test_on_a_terminal_it_is_asked_what_to_do_with_a_run_that_is_there(
    answer: str, status: int, trials: int, folders: list[str], demo: Path
) -> None:
    place = demo.parent
    ww.search(
        None,
        None,
        ww.load_config("demo.toml", {"search.strategy.setup.n_trials": 4}),
        out="runs/demo",
        page=False,
    )
    shown, ended = on_a_terminal(place, {"r, n or c": f"{answer}\n"}, "search", "demo.toml", "--trials", "6")
    assert ended == status
    assert "runs/demo has a run already: (r)esume it, start a (n)ew one in runs/demo-2, or (c)ancel?" in shown
    assert sorted(str(path) for path in Path("runs").iterdir()) == folders
    assert ww.load_run("runs/demo").summary.trials == trials


@pytest.mark.slow
def test_on_a_terminal_a_line_tells_how_far_it_is(slow: Path) -> None:
    shown, ended = on_a_terminal(slow.parent, {}, "search", "demo.toml", "--trials", "8")
    assert ended == 0
    assert "━" in shown
    assert "8/8 trials" in shown
    assert "best accuracy" in shown


def test_deleting_asks_on_a_terminal(demo: Path) -> None:
    ww.search(
        None, None, ww.load_config("demo.toml", {"search.strategy.setup.n_trials": 2}), out="here", page=False
    )
    shown, ended = on_a_terminal(demo.parent, {"(2 trials)? [y/N]": "n\n"}, "rm", "here")
    assert ended == 1
    assert "cancelled" in shown
    assert Path("here/study.db").is_file()
    shown, ended = on_a_terminal(demo.parent, {"(2 trials)? [y/N]": "y\n"}, "rm", "here")
    assert ended == 0
    assert not Path("here").exists()


def test_a_reader_that_leaves_is_no_trouble(demo: Path) -> None:
    ww.search(None, None, ww.load_config("demo.toml", {}), out="here", page=False)
    reading, writing = os.pipe()
    os.close(reading)
    command = [*PROGRAM, "trials", "here", "--format", "json"]
    ran = subprocess.run(command, cwd=demo.parent, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert ran.stderr == b""
    assert ran.returncode == 1


@pytest.mark.slow
def test_training_that_is_stopped_leaves_its_best_weights(demo: Path) -> None:
    command = [*PROGRAM, "train", "demo.toml", "--epochs", "100000", "--out", "w.safetensors"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=demo.parent, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        deaf = Timer(60, process.kill)  # a process that doesn't listen must not hold up all other tests
        deaf.start()
        for line in process.stdout:
            if line.startswith("epoch   10"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
        deaf.cancel()
    assert process.returncode == 130
    assert "Stopped by Ctrl-C; the best weights so far are in w.safetensors" in rest
    ww.load_model("jsc-tiny", checkpoint=demo.parent / "w.safetensors")
