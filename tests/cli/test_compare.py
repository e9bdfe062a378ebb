"""compare and importance as typed: what is printed where, what is written, and one line for what is wrong."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from helpers import searches
from helpers.places import DOCS
from widthwise.cli import main
from widthwise.config import example_text


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The lab's search of 18, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    Path("lab.toml").write_text(example_text("jsc-tiny"), encoding="utf-8")
    return "lab.toml"


class _Page(HTMLParser):
    """What a page shows and fetches."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.fetched: list[str] = []
        self.elements = ["document"]
        self.ids: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href")]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        (self.scripts if self.elements[-1] == "script" else self.texts).append(data)


def _compare(*arguments: str) -> int:
    return main(["compare", *arguments, "--seeds", "2", "--strategies", "brute-force,random"])


def test_compare_prints_tables_and_says_what_shares_are_of(config, capsys):
    assert _compare(config, "--budget", "500") == 0
    out, err = capsys.readouterr()
    assert "lab.toml: 18 candidates, 18 evaluations (of 500 asked for: there are no more candidates)" in out
    assert "the whole space was evaluated" in out
    rows = [line.split() for line in out.splitlines() if line.startswith(("brute-force", "random"))]
    assert [row[0] for row in rows[:2]] == ["brute-force", "random"]
    assert "won/lost/tied" in out
    assert "2 seeds can't show a difference: the smallest p possible is 0.5" in err


def test_compare_prints_json_and_nothing_else(config, capsys):
    assert _compare(config, "--json", "--budget", "9") == 0
    content = json.loads(capsys.readouterr().out)
    assert set(content["strategies"]) == {"brute-force", "random"}
    assert content["budget"] == 9


def test_compare_prints_csv_and_nothing_else(config, capsys):
    assert _compare(config, "--csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 2 * 2 * 18


def test_compare_writes_a_folder_once_unless_forced(config, capsys):
    assert _compare(config, "--out", "made/here", "--quiet") == 0
    folder = Path("made/here")
    assert {path.name for path in folder.iterdir()} == {
        f"comparison.{end}" for end in ("html", "json", "csv")
    }
    page = _Page((folder / "comparison.html").read_text(encoding="utf-8"))
    assert page.fetched == []
    drawn = json.loads(page.scripts[0])
    assert [chart["key"] for chart in drawn] == [key for key in page.ids if key.startswith("chart-")]
    share = next(trace for trace in drawn[0]["data"] if trace.get("name") == "brute-force")
    assert share["y"][-1] == 1.0
    assert len(share["x"]) == 18
    capsys.readouterr()
    assert _compare(config, "--out", "made/here") == 2
    assert "exists already; --force overwrites it" in capsys.readouterr().err
    assert _compare(config, "--out", "made/here", "--force") == 0


def test_what_a_config_is_called_is_shown_as_it_is_and_never_run(config, capsys):
    name = "<script>alert(1)</script><b>&amp;.toml"
    Path(name.replace("/", "_")).write_text(Path(config).read_text(encoding="utf-8"), encoding="utf-8")
    assert _compare(name.replace("/", "_"), "--out", "made") == 0
    page = _Page(Path("made/comparison.html").read_text(encoding="utf-8"))
    assert page.elements.count("script") == 4  # data, charts, light or dark, and the page
    assert "b" not in page.elements
    assert any(name.replace("/", "_") in text for text in page.texts)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lab.toml", "--strategies", "tpee"], "did you mean tpe?"),
        (["lab.toml", "--strategies", "cmaes"], "cmaes"),
        (["lab.toml", "--strategies", "tpe(n_startup_trials=x)"], "give a whole number"),
        (["lab.toml", "--budget", "0"], "budget = 0; give 1 evaluation or more"),
        (["lab.toml", "--seeds", "0"], "seeds = 0; give 1 or more"),
        (["lab.toml", "--enumerate-up-to", "-1"], "candidates to enumerate up to = -1; give 0 or more"),
        (["lab.toml", "--out", "made", "--load", "nowhere.pt"], "nowhere.pt: no such file"),
        (["lab.toml", "--out", "made", "--seeds", "0"], "seeds = 0; give 1 or more"),
        (["lab.toml", "--out", "x" * 300], "can't be made: File name too long"),
        (["lab.toml", "--out", "lab.toml/made"], "lab.toml is no folder"),
        (["lab.toml", "--json", "--csv"], "contradict one another"),
        (["nowhere.toml"], "nowhere.toml: no such file"),
        (["lab.toml", "--out", "lab.toml"], "lab.toml: can't be made"),
        (["lab.toml", "--strategies", "random,mine:Own", "--untrusted"], "which --untrusted refuses"),
    ],
)
def test_compare_says_what_is_wrong_in_one_line(config, arguments, said, capsys):
    assert main(["compare", *arguments]) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert (out, err.count("\n")) == ("", 1)
    assert [path.name for path in Path().iterdir()] == ["lab.toml"]


def test_a_table_is_compared_on_by_its_name(config, capsys):
    assert _compare("--table", "jets", "--objectives", "accuracy,luts", "--budget", "20") == 0
    out, _ = capsys.readouterr()
    assert out.startswith("table: jets, every scheme of the hls4ml tutorial's jet tagger")
    assert "table jets: 104,976 candidates, 20 evaluations, 2 seeds" in out
    assert re.search(r"^strategy +accuracy +luts$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is nothing to compare on; give a CONFIG or --table jets"),
        (["lab.toml", "--table", "jets"], "--table jets takes the place of lab.toml; give one of them"),
        (["lab.toml", "--objectives", "loss"], "--objectives: is for --table"),
        (["--table", "jetts"], "no table named 'jetts'; did you mean jets?"),
        (["--table", "gone.parquet"], "gone.parquet: no such file"),
        (["--table", "jets", "--objectives", "size"], "did you mean model_size?"),
        (["--table", "jets", "--load", "x.pt"], "--load: is for a config"),
        (["--table", "jets", "--set", "seed=1"], "--set: is for a config"),
        (["--table", "jets", "--strategies", "mine:Own", "--untrusted"], "which --untrusted refuses"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_in_one_line(config, arguments, said, capsys):
    assert main(["compare", *arguments]) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert (out, err.count("\n")) == ("", 1)


def test_compare_warns_of_random_weights(config, capsys):
    assert _compare(config) == 0
    assert "the weights of jsc-tiny are random" in capsys.readouterr().err


def test_a_strategy_of_ones_own_that_is_typed_is_not_warned_of(config, project, capsys):
    Path("mine.py").write_text(
        "class Own:\n"
        "    def __init__(self, space, seed, stride=1): self.space, self.seed = space, seed\n"
        "    def ask(self, n): return self.space.at([0])\n"
        "    def tell(self, candidates, values): pass\n"
    )
    assert main(["compare", config, "--strategies", "mine:Own,mine:Own(stride=2)", "--seeds", "1"]) == 0
    out, err = capsys.readouterr()
    assert "runs code" not in err, "it was typed"
    assert "mine:Own(stride=2)" in out


@pytest.mark.parametrize("strategies", ["random,mine:Slow", "mine:Slow,random"])
def test_ctrl_c_keeps_what_is_done(config, project, strategies):
    Path("mine.py").write_text(
        "import sys, time\n"
        "class Slow:\n"
        "    made = 0\n"
        "    def __init__(self, space):\n"
        "        Slow.made += 1\n"  # the first is only tried
        "        self.space, self.slow = space, Slow.made > 1\n"
        "    def ask(self, n):\n"
        "        if self.slow:\n"
        "            print('asked', file=sys.stderr, flush=True)\n"
        "            time.sleep(60)\n"
        "        return self.space.at([0])\n"
        "    def tell(self, candidates, values): pass\n"
    )
    command = [sys.executable, "-m", "widthwise", "compare", config, "--seeds", "2", "--out", "made"]
    with subprocess.Popen(
        [*command, "--strategies", strategies], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while "asked" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    if strategies.startswith("random"):
        assert "stopped before all was done; left out: mine:Slow" in err
        content = json.loads(Path("made/comparison.json").read_text(encoding="utf-8"))
        assert (list(content["strategies"]), content["interrupted"]) == (["random"], ["mine:Slow"])
        assert "random" in out
    else:
        assert "stopped before any strategy was done; nothing was written" in err
        assert not Path("made").exists()


def test_a_strategy_that_fails_later_is_left_out_and_the_status_says_so(config, project, capsys):
    Path("mine.py").write_text(
        "class Half:\n"
        "    batch = 4\n"
        "    def __init__(self, space): self.space, self.at = space, 0\n"
        "    def ask(self, n):\n"
        "        self.at += n\n"
        "        return self.space.at(range(self.at - n, self.at))\n"
        "    def tell(self, candidates, values):\n"
        "        if self.at > 6: raise KeyError('gone')\n",
        encoding="utf-8",
    )
    assert main(["compare", config, "--strategies", "random,mine:Half", "--seeds", "2"]) == 1
    out, err = capsys.readouterr()
    assert "mine:Half is left out, it failed: seed 0, after 6 evaluations: " in err
    assert "tell raised KeyError: 'gone' (mine.py, line 8)" in err
    assert "random" in out


def test_importance_prints_shares_and_single_changes(tmp_path, capsys):
    searches.search(tmp_path / "run")
    capsys.readouterr()
    assert main(["importance", str(tmp_path / "run"), "--top", "3"]) == 0
    out, err = capsys.readouterr()
    assert "exact: all combinations of these choices were evaluated" in out
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("accuracy: mean"))
    assert [line.split("  ")[0] for line in lines[start + 3 : start + 6]] == ["layer 5", "layer 4", "layer 2"]
    assert "One change at a time from the largest candidate (trial 728" in out
    assert err == ""


def test_importance_tells_of_layers_in_tables_json_and_page(tmp_path, capsys):
    keys = ("data_in_width", "weight_width", "bias_width")
    names = [f"{layer}/{key}" for layer in ("first", "second") for key in keys]
    searches.search(tmp_path / "run", space=searches.space_of(*names))
    capsys.readouterr()
    html = tmp_path / "page.html"
    assert main(["importance", str(tmp_path / "run"), "--html", str(html)]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("accuracy: share of its variance by layer")
    header, first, second = lines[start + 1], lines[start + 3].split(), lines[start + 4].split()
    assert header.split() == ["layer", "alone", "with", "others", "smallest,", "others", "largest"]
    assert main(["importance", str(tmp_path / "run"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    layers = content["metrics"]["accuracy"]["layers"]
    assert [layer["name"] for layer in layers] == ["second", "first"] == [first[0], second[0]]
    assert first[1] == f"{layers[0]['main']:.1%}"
    lost = {layer["layer"]: layer["differences"]["accuracy"] for layer in content["sensitivity"]["layers"]}
    assert first[3] == f"{lost['second']:.3f}"
    drawn = json.loads(_Page(html.read_text(encoding="utf-8")).scripts[0])
    bars = [trace for chart in drawn for trace in chart["data"] if trace.get("x") == ["first", "second"]]
    assert bars[0]["y"] == [lost["first"], lost["second"]]


def test_quiet_tables_keep_their_titles(tmp_path, capsys):
    searches.search(tmp_path / "run")
    capsys.readouterr()
    assert main(["importance", str(tmp_path / "run"), "--metrics", "all", "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("accuracy: mean ")
    assert any(line.startswith("model_size: mean ") for line in lines)


def test_importance_prints_json_and_nothing_else(tmp_path, capsys):
    searches.search(tmp_path / "run")
    capsys.readouterr()
    assert main(["importance", str(tmp_path / "run"), "--json", "--metrics", "model_size"]) == 0
    content = json.loads(capsys.readouterr().out)
    decisions = content["metrics"]["model_size"]["decisions"]
    assert [d["main"] for d in decisions] == pytest.approx([1 / 6] * 6)
    sizes = [choice["effect"] for choice in decisions[0]["choices"]]
    assert sizes == pytest.approx((np.array([2, 4, 8]) - 14 / 3).tolist())
    assert len(content["sensitivity"]["changes"]) == 12


def test_importance_writes_a_page_that_fetches_nothing(tmp_path, capsys):
    searches.search(tmp_path / "<i>run")
    html = tmp_path / "page.html"
    assert main(["importance", str(tmp_path / "<i>run"), "--html", str(html)]) == 0
    page = _Page(html.read_text(encoding="utf-8"))
    assert page.fetched == []
    assert "i" not in page.elements
    drawn = json.loads(page.scripts[0])
    assert {trace["type"] for chart in drawn for trace in chart["data"]} == {"bar", "heatmap"}
    capsys.readouterr()
    assert main(["importance", str(tmp_path / "<i>run"), "--html", str(html)]) == 2
    assert "exists already; --force overwrites it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--metrics", "acuracy"], "did you mean accuracy?"),
        (["run", "--top", "0"], "--top 0: give 1 or more"),
        (["run", "--html", "page.txt"], "give it that ending"),
        (["nowhere"], "no such run folder"),
    ],
)
def test_importance_says_what_is_wrong_in_one_line(tmp_path, monkeypatch, arguments, said, capsys):
    monkeypatch.chdir(tmp_path)
    searches.search(tmp_path / "run")
    capsys.readouterr()
    assert main(["importance", *arguments]) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert (out, err.count("\n")) == ("", 1)


PAGE = DOCS / "comparing.md"


def test_every_command_of_the_page_has_the_options_it_is_shown_with(capsys):
    blocks = "".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    commands = [shlex.split(line) for line in blocks.splitlines() if line.startswith("widthwise ")]
    assert {command[1] for command in commands} == {"compare", "importance", "train"}
    for _, name, *arguments in commands:
        assert main([name, "--help"]) == 0
        known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
        assert {argument for argument in arguments if argument.startswith("--")} <= known
        for argument in arguments:
            assert not argument.endswith(".toml") or (PAGE.parents[1] / argument).is_file()


def test_the_example_of_13824_is_a_search_of_13824():
    from widthwise.config import load_config
    from widthwise.search.problem import load_problem

    config = load_config(PAGE.parents[1] / "examples" / "jsc-mlp-by-name.toml")
    assert load_problem(config).space.size == 13_824


def test_the_pages_python_runs(config, capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    Path("lab3.toml").write_text(Path(config).read_text(encoding="utf-8"), encoding="utf-8")
    code = "".join(block for block in blocks if "class " not in block)
    names = {}
    exec(code.replace("seeds=10", "seeds=2").replace("share_at(50)", "share_at(9)"), names)
    assert [outcome.label for outcome in names["found"].outcomes] == ["random", "alone"]
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_pages_own_strategy_searches_and_competes(config, project, capsys):
    page = PAGE.read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class " in block]
    (named,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    Path("mine.py").write_text(code, encoding="utf-8")
    strategies = "random,mine:Climber,mine:Climber(moves=2)"
    assert main(["compare", config, "--strategies", strategies, "--seeds", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["strategies"]
    assert list(found) == ["random", "mine:Climber", "mine:Climber(moves=2)"]
    assert all(run["evaluations"] > 5 for entry in found.values() for run in entry["runs"])
    options = tomllib.loads(named)["search"]["strategy"]
    key = "search.strategy.options.moves"
    arguments = ["--strategy", options["name"], "--set", f"{key}={options['options']['moves']}"]
    assert main(["search", config, *arguments, "--trials", "6", "--out", "run", "--quiet"]) == 0
    assert main(["search", "run/config.toml", "--resume", "--out", "run", "--trials", "9", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out[out.index("{") :])["trials"] == 9
    assert tomllib.loads(Path("run/config.toml").read_text())["search"]["strategy"]["options"] == {"moves": 2}
