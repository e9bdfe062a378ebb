"""Strategies that users write, as module:Class."""

from __future__ import annotations

import numpy as np
import pytest

from widthwise.core.errors import UserError
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import strategy

SPACE = Space((Decision("a", (1, 2, 3)), Decision("b", ("x", "y"))))
OBJECTIVES = {"accuracy": "maximize"}

MINE = '''
import numpy as np

class Upwards:
    """Proposes candidates 0, 0, 1, 1, 2, 2 … by position: every one twice."""
    def __init__(self, space, seed=0, stride=1):
        self.space, self.next, self.stride, self.told = space, 0, stride, []
    def ask(self, n):
        rows = [i // 2 * self.stride for i in range(self.next, self.next + n)]
        rows = [row for row in rows if row < self.space.size]
        self.next += n
        return self.space.at(rows)
    def tell(self, candidates, values):
        self.told.append((candidates, values))

class Stuck(Upwards):
    def ask(self, n):
        return self.space.at([0])

class Late(Upwards):
    """The first candidate 150 times, then the second."""
    def ask(self, n):
        self.next += 1
        return self.space.at([int(self.next > 150)])

class Everything(Upwards):
    batch = 5
    def __init__(self, space, *, objectives, seed, options, costs):
        super().__init__(space)
        self.given = (dict(objectives), seed, options, costs)
    finished = None

class Counts(Upwards):
    """Knows a shorter way to where it stood, and reads one batch less than there are."""
    learns = False
    def replay(self, batches):
        self.next = 2 * len(next(iter(batches))[0])

class Nothing(Upwards):
    batch = 0

class NoTell:
    def __init__(self, space):
        pass
    def ask(self, n):
        return []

class Breaks:
    def __init__(self, space):
        raise RuntimeError("no")

class Raises(Upwards):
    def ask(self, n):
        raise RuntimeError("out of\\nideas")

class Forgets(Upwards):
    def tell(self, candidates, values):
        return {}["gone"]

class Ends(Upwards):
    @property
    def finished(self):
        raise RuntimeError("never")

def ragged(space):
    made = Upwards(space)
    made.ask = lambda n: [[0, 1], [0]]
    return made

def shape(space):
    made = Upwards(space)
    made.ask = lambda n: np.zeros((2, 2), int)
    return made

def bounds(space):
    made = Upwards(space)
    made.ask = lambda n: np.array([[0, 2]])
    return made

def halves(space):
    made = Upwards(space)
    made.ask = lambda n: np.array([[0.5, 1]])
    return made

number = 3
'''


@pytest.fixture
def mine(project):
    (project / "mine.py").write_text(MINE)


def make(name, **options):
    return strategy(f"mine:{name}", SPACE, objectives=OBJECTIVES, seed=4, options=options)


def everything(made, batch):
    rows = []
    while len(candidates := made.ask(batch)):
        rows += SPACE.positions(candidates)
        made.tell(candidates, np.array(SPACE.positions(candidates), dtype=float)[:, None])
    return rows


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize("batch", [1, 2, 3, 50])
def test_what_it_proposes_again_is_told_but_not_passed_on(batch):
    made = make("Upwards")
    assert everything(made, batch) == list(range(6))
    assert made.finished == "all 6 candidates proposed"
    told = [row for candidates, _ in made._inner.told for row in SPACE.positions(candidates)]
    values = [value for _, values in made._inner.told for value in values[:, 0].tolist()]
    assert values == told
    assert set(told) == set(range(6))
    assert batch > 1 or len(told) > 6


@pytest.mark.usefixtures("mine")
def test_options_come_by_name_or_as_a_whole():
    assert everything(make("Upwards", stride=2), 2) == [0, 2, 4]
    made = make("Everything", depth=3)
    assert made._inner.given == (OBJECTIVES, 4, {"depth": 3}, None)
    assert made.batch == 5


@pytest.mark.usefixtures("mine")
def test_it_ends_where_nothing_new_comes():
    made = make("Stuck")
    assert everything(made, 2) == [0]
    assert made.finished == "mine:Stuck proposed nothing new in 100 calls"
    made = make("Upwards", stride=4)
    assert everything(made, 2) == [0, 4]
    assert made.finished == "mine:Upwards proposes nothing more"


@pytest.mark.usefixtures("mine")
def test_a_space_without_decisions_has_one_candidate():
    made = strategy("mine:Upwards", Space(()), objectives=OBJECTIVES)
    assert made.ask(3).shape == (1, 0)
    made.tell(np.empty((1, 0), dtype=int), np.ones((1, 1)))
    assert made.ask(3).shape == (0, 0)
    assert made.finished


@pytest.mark.usefixtures("mine")
def test_once_it_has_ended_it_proposes_nothing_more_and_asking_for_none_is_no_end():
    made = make("Late")
    assert made.ask(0).shape == (0, 2)
    assert made.finished is None
    assert everything(made, 1) == [0]
    said = made.finished
    assert said == "mine:Late proposed nothing new in 100 calls"
    assert [len(made.ask(1)) for _ in range(3)] == [0, 0, 0]
    assert made.finished == said


@pytest.mark.usefixtures("mine")
def test_it_is_replayed_by_asking_and_telling():
    first = make("Upwards")
    batches = []
    for _ in range(2):
        candidates = first.ask(2)
        batches.append((candidates, np.zeros((len(candidates), 1))))
        first.tell(*batches[-1])
    again = make("Upwards")
    again.replay(batches)
    assert again.ask(2).tolist() == first.ask(2).tolist()


@pytest.mark.usefixtures("mine")
def test_what_it_lacks_of_the_protocol_is_added_and_what_it_has_is_used():
    plain, made = make("Upwards"), make("Counts")
    assert (plain.learns, made.learns) == (True, False)
    batches = [(SPACE.at([0, 1]), np.zeros((2, 1))), (SPACE.at([2]), np.zeros((1, 1)))]
    made.replay(batches)  # is at the third candidate, which is known from the batch that it did not read
    assert everything(made, 2) == [3, 4, 5]
    assert made.finished == "all 6 candidates proposed"


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("NoTell", {}, "has no method tell; it needs ask(n)"),
        ("Nothing", {}, "its batch is 0; give a whole number from 1, or none"),
        ("Breaks", {}, "making it raised RuntimeError: no"),
        ("number", {}, "is a int; name a class with ask and tell"),
        ("Upward", {}, "did you mean Upwards?"),
        ("Upwards", {"strid": 2}, "no option named 'strid'; did you mean stride?"),
    ],
)
def test_what_cannot_be_a_strategy_is_refused(name, options, said):
    with pytest.raises(UserError) as caught:
        make(name, **options)
    assert said in str(caught.value)


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shape", "ask(1) gave shape (2, 2); give up to 1 rows of 2 choice indices"),
        ("bounds", "ask gave choice 2 for b; allowed: 0 to 1"),
        ("halves", "ask gave float64; give whole choice indices"),
    ],
)
def test_what_is_no_candidate_is_refused(name, said):
    with pytest.raises(UserError) as caught:
        make(name).ask(1)
    assert said in str(caught.value)


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("Raises", "    def ask(self, n):\n        raise", "ask raised RuntimeError: out of ideas"),
        ("Forgets", 'return {}["gone"]', "tell raised KeyError: 'gone'"),
        ("Ends", 'raise RuntimeError("never")', "finished raised RuntimeError: never"),
        ("ragged", None, "ask(1) gave rows of different lengths; give up to 1 rows of 2 choice indices"),
    ],
)
def test_what_it_raises_is_one_line_that_says_where(name, line, said):
    made = make(name)

    def use():
        made.tell(made.ask(1), np.zeros((1, 1)))
        return made.finished

    with pytest.raises(UserError) as caught:
        use()
    text = str(caught.value)
    assert said in text
    if line is not None:
        number = MINE[: MINE.index(line) + len(line)].count("\n") + 1
        assert text == f"strategy mine:{name}: {said} (mine.py, line {number})"


@pytest.mark.usefixtures("mine")
def test_one_that_keeps_within_bounds_is_told_of_them():
    told = []
    made = make("Upwards")
    made.keep_within(None)  # has no method for it
    made._inner.keep_within = told.append
    made.keep_within("bounds")
    assert told == ["bounds"]
