"""References to code of the user's own: what is found, what it is called with, and what each mistake reads like."""

from __future__ import annotations

import itertools
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import SettingError, UserCodeError
from gossamer.references import Reference, is_reference, resolve

COUNT = itertools.count()

CODE = """
class Net:
    small = staticmethod(lambda width=4: ("small", width))
    def __init__(self, hidden=3):
        self.hidden = hidden

class Wide:
    def __init__(self, features):
        self.features = features

def plain(): return "plain"
def with_seed(seed=7): return seed
def with_any(number): return number
def with_two(first, second): return first, second
def with_task(hidden, task): return hidden, task
def free(**arguments): return arguments
def fails(): raise KeyError("no such thing")
def leaves(): raise SystemExit(3)
value = 5
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Returns a function that writes a module under a name no other test has, and returns that name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)

    def write(code: str) -> str:
        name = f"own_{next(COUNT)}"
        (tmp_path / f"{name}.py").write_text(code)
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_module_here_and_a_file_give_the_same_object(write: Callable[[str], str]) -> None:
    name = write(CODE)
    net = resolve(f"{name}:Net")
    assert net is resolve(f"{name}.py:Net") is resolve(f"./{name}.py:Net")
    assert net.__module__ == name
    assert pickle.loads(pickle.dumps(net)) is net
    assert resolve(f"{name}:Net.small")() == ("small", 4)
    assert resolve("collections:OrderedDict.fromkeys") is not None


def test_a_file_whose_name_is_taken_is_loaded_beside_the_other(tmp_path: Path, write: Callable[[str], str]) -> None:
    name = write("kind = 'first'")
    other = tmp_path / "other"
    other.mkdir()
    (other / f"{name}.py").write_text("kind = 'second'")
    (other / "json.py").write_text("kind = 'not the standard one'")
    assert resolve(f"{name}.py:kind") == "first"
    assert resolve(f"other/{name}.py:kind") == "second"
    assert resolve(f"{name}.py:kind") == "first"
    assert resolve("other/json.py:kind") == "not the standard one"
    assert hasattr(sys.modules["json"], "dumps")


def test_a_reference_is_resolved_from_its_own_folder(
    tmp_path: Path, write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = pickle.loads(pickle.dumps(Reference.parse(f"{write(CODE)}.py:with_any")))
    monkeypatch.chdir("/")
    assert reference.call(seed=3) == 3


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("plain", "plain"),
        ("with_seed", 9),
        ("with_seed[seed=1]", 1),
        ("with_any", 9),
        ("with_two[first=1]", (1, 9)),
        ('with_two[first=1,second={"a":2}]', (1, {"a": 2})),
        ("Net.small[width=2]", ("small", 2)),
        ("free[a=1]", {"a": 1}),
    ],
)
def test_what_is_called_gets_what_it_asks_for(write: Callable[[str], str], attribute: str, expected: object) -> None:
    assert Reference.parse(f"{write(CODE)}:{attribute}").call(seed=9) == expected


def test_a_class_gets_the_task_by_name_only(write: Callable[[str], str]) -> None:
    name = write(CODE)
    assert Reference.parse(f"{name}:Net").call(task="T").hidden == 3
    assert Reference.parse(f"{name}:with_task[hidden=2]").call(task="T") == (2, "T")
    with pytest.raises(SettingError, match=rf"{name}:Wide needs features; .*'{name}:Wide\[features=\.\.\.\]'"):
        Reference.parse(f"{name}:Wide").call(task="T")


MISTAKES = {
    "no such file": ("{name}x.py:Net", SettingError, r"there is no file .*{name}x\.py; did you mean {name}\.py\?"),
    "no such module": ("{name}x:Net", SettingError, r"there is no module '{name}x'; did you mean '{name}'\?"),
    "no such package": ("zqj.models:Net", SettingError, r"there is no module 'zqj'; looked in /.*installed"),
    "no such attribute": ("{name}:Nett", SettingError, r"{name} has no attribute 'Nett'; did you mean 'Net'\?"),
    "no such argument": ("{name}:Net[hiden=3]", SettingError, r"unknown argument 'hiden'; did you mean 'hidden'\?"),
    "an argument too many": ("{name}:plain[a=3]", SettingError, r"unknown argument 'a'; it takes none"),
    "two missing": ("{name}:with_two", SettingError, r"needs first and second; give them in brackets"),
    "not callable": ("{name}:value", SettingError, r"{name}:value is an int, which cannot be called; name a function"),
    "raised": (
        "{name}:fails",
        UserCodeError,
        r"{name}:fails: calling it raised KeyError: 'no such thing' \(.*line 17\)",
    ),
    "left": ("{name}:leaves", UserCodeError, r"calling it raised SystemExit: 3"),
}


@pytest.mark.parametrize(("text", "kind", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_every_mistake_is_one_line(write: Callable[[str], str], text: str, kind: type[Exception], message: str) -> None:
    name = write(CODE)
    with pytest.raises(kind, match=message.replace("{name}", name)) as error:
        Reference.parse(text.replace("{name}", name)).call(seed=1)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "x = 1 / 0",
            r"importing it raised ZeroDivisionError: division by zero \(.*, line 1\); set GOSSAMER_TRACEBACK",
        ),
        ("def f(:\n  pass", r"importing it raised SyntaxError: .*\.py, line 1\)"),
        ("import zqj_missing", r"importing it raised ModuleNotFoundError: No module named 'zqj_missing' \(.*line 1\)"),
        ("from .layers import Net", r"importing it raised ImportError: attempted relative import"),
        ("import sys\nsys.exit('bye')", r"importing it raised SystemExit: bye \(.*line 2\)"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".py"])
def test_an_error_while_importing_says_where(write: Callable[[str], str], code: str, message: str, suffix: str) -> None:
    name = write(code)
    for _ in range(2):  # a failed import leaves nothing behind that would pass the second time
        with pytest.raises(UserCodeError, match=message):
            resolve(f"{name}{suffix}:Net")


@pytest.mark.parametrize("text", ["Net", ":Net", "own.py:", "own.py:2net", "own:Net[a=1", "own:a b", ""])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=r"does not read as package\.module:factory"):
        Reference.parse(text)


@given(st.text(alphabet="ab.:[]=,/ ", max_size=15))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except SettingError:
        return
    assert is_reference(text)
    assert str(reference).split(":")[-1].replace(".", "").isidentifier()
