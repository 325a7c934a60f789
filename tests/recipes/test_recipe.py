"""A recipe is the same from Python, from a file and from options; what it may not say is refused."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gossamer
from gossamer.compression import methods
from gossamer.errors import GossamerError, SettingError
from gossamer.recipes import Choice, Recipe, RecipeError
from gossamer.recipes.changes import Changes
from gossamer.recipes.example import example
from gossamer.train import Training

SMALL: dict[str, Any] = {"data": "digits-graph", "model": "gcn", "out": "/runs/x"}


def texts(**sizes: int) -> st.SearchStrategy[str]:
    """Any text but one such as 0e0, which is a number where a YAML file does not quote it, and PyYAML does not."""
    return st.text(**sizes).filter(lambda text: not re.fullmatch(r"[-+]?[0-9]+[eE][-+]?[0-9]+", text))


METHODS = st.one_of(
    st.sampled_from(["dense", "magnitude", "rigl[every=5]", 'rigl[allocation={"name":"uniform"}]']).map(Choice.of),
    st.builds(
        Choice,
        kind=st.just("rigl"),
        settings=st.fixed_dictionaries(
            {},
            optional={
                "every": st.integers(1, 10**6),
                "first": st.floats(0.01, 1.0),
                "exclude": st.lists(texts(max_size=5), max_size=2),
                "grow": st.sampled_from(["at-random", {"name": "by-momentum", "decay": 0.5}]),
            },
        ),
        label=texts(min_size=1, max_size=10),
    ),
)
CHANGES = st.builds(
    Changes,
    epochs=st.none() | st.integers(0, 10**6),
    patience=st.none() | st.integers(1, 10**6),
    learning_rate=st.none() | st.floats(0, 10),
    optimizer=st.none() | st.sampled_from(["sgd", "adam[beta1=0.5]", {"name": "adamw", "epsilon": 1e-12}]),
    schedule=st.none() | st.sampled_from(["cosine", {"name": "warmup", "then": "cosine"}, "multistep[at=[0.5,0.7]]"]),
    keep_best=st.none() | st.booleans(),
    precision=st.sampled_from([None, "32-true", "bf16-mixed"]),
    checkpoint_minutes=st.none() | st.floats(0, 60),
)
SOURCES = st.sampled_from(
    [
        {"data": "cora"},
        {"data": "/data/edges.csv", "columns": ("source", "_", "target")},
        {"task": "own.tasks:make[size=3]"},
        {"task": "/own code/tasks.py:make"},
    ]
)
RECIPES = st.builds(
    lambda source, **fields: Recipe(**source, **fields),
    SOURCES,
    model=st.sampled_from(["gcn", "gat[hidden=8]", "own.nets:Net", '/own/nets.py:Net[a="]"]']),
    methods=st.lists(METHODS, min_size=1, max_size=4, unique_by=lambda choice: choice.label),
    sparsities=st.none() | st.lists(st.floats(0, 0.999), max_size=3),
    budgets=st.lists(st.sampled_from(["bytes<=10k", "macs<=1M,nonzeros<=5"]), max_size=2),
    seeds=st.lists(st.integers(0, 2**31), min_size=1, max_size=3),
    training=CHANGES,
    out=st.sampled_from(["/runs/x", "/runs/ü [1]"]),
    engine=st.sampled_from(["local", "inline", "ray"]),
    workers=st.none() | st.integers(1, 99),
    accelerate=st.booleans(),
    latency=st.booleans(),
    string_ids=st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(RECIPES)
def test_a_saved_recipe_loads_back_equal(tmp_path: Path, recipe: Recipe) -> None:
    assert Recipe.load(recipe.save(tmp_path / "r.toml")) == recipe
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe.to_json()))
    assert Recipe.load(tmp_path / "r.yaml") == recipe


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "edges").write_text("a b\n")
    (tmp_path / "there" / "r.toml").write_text('data = "edges"\nmodel = "own.py:Net[a=1]"\nout = "../runs"\n')
    recipe = Recipe.load("there/r.toml")
    assert (recipe.data, recipe.model, recipe.out) == ("there/edges", "there/own.py:Net[a=1]", Path("runs"))
    assert Recipe.load(recipe.save("elsewhere/r.toml")) == recipe
    assert 'model = "../there/own.py:Net[a=1]"' in Path("elsewhere/r.toml").read_text()
    monkeypatch.chdir("there")
    assert Recipe.load("r.toml").data == "./edges", "a name without a slash could be that of a data set"
    assert Recipe.load(Recipe.load("r.toml").save("s.toml")) == Recipe.load("r.toml")
    named = Recipe.load("r.toml", {"data": "cora", "model": "own.nets:Net"})
    assert (named.data, named.model) == ("cora", "own.nets:Net"), "names are no paths"


def test_all_is_every_method_that_is_not_named_beside_it(tmp_path: Path) -> None:
    recipe = Recipe(**SMALL, methods="rigl[every=5],dense,all")
    labels = [choice.label for choice in recipe.methods]
    assert labels[:2] == ["rigl[every=5]", "dense"]
    assert labels[2:] == [name for name in sorted(methods()) if name != "dense"]
    (tmp_path / "r.toml").write_text('data = "digits-graph"\nmodel = "gcn"\nout = "/runs/x"\nmethods = ["all"]\n')
    loaded = Recipe.load(tmp_path / "r.toml")
    assert set(loaded.settings()) == set(methods())
    assert Recipe.load(loaded.save(tmp_path / "s.toml")) == loaded
    with pytest.raises(SettingError, match="all takes no settings, found every"):
        Recipe(**SMALL, methods="all[every=5]")


def test_the_smallest_file_has_the_defaults_of_python(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('data = "digits-graph"\nmodel = "gcn"\nout = "/runs/x"\n')
    recipe = Recipe.load(tmp_path / "r.toml")
    assert recipe == Recipe(**SMALL)
    assert list(recipe.settings()) == ["dense", "magnitude", "rigl"]
    assert (recipe.at(), recipe.seeds) == ((0.5, 0.9), (0, 1, 2))
    assert Recipe(**SMALL, budgets=["bytes<=1k"]).at() == ()
    assert Recipe(**SMALL, budgets=["bytes<=1k"], sparsities=[0.5]).at() == (0.5,)


def test_methods_are_names_texts_or_tables(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        'data = "digits-graph"\nmodel = "gcn"\nout = "o"\n'
        'methods = ["dense", "rigl[every=5]", { name = "rigl", every = 7 }, { name = "rigl", label = "RigL, plain" }]'
    )
    found = Recipe.load(tmp_path / "r.toml").settings()
    assert list(found) == ["dense", "rigl[every=5]", "rigl[every=7]", "RigL, plain"]
    assert found["rigl[every=7]"] == gossamer.method("rigl", every=7)
    assert found["RigL, plain"] == gossamer.method("rigl")


def test_training_changes_the_networks_own() -> None:
    own = Recipe(**SMALL).trains()
    assert own.optimizer.name == "adam"
    made = Recipe(**SMALL, training={"epochs": 3, "optimizer": "adam[beta1=0.5]", "learning_rate": 0.5}).trains()
    assert made.optimizer == own.optimizer.replace(beta1=0.5, learning_rate=0.5)
    assert (made.epochs, made.schedule) == (3, own.schedule)
    other = Recipe(**SMALL, training={"optimizer": "sgd", "schedule": {"name": "step", "every": 4}}).trains()
    assert (other.optimizer.name, other.optimizer.weight_decay) == ("sgd", 5e-4)
    assert other.schedule.to_json() == {"name": "step", "every": 4, "gamma": 0.1}
    whole = Training(epochs=9, patience=2, clip_norm=1.0, keep_best=False)
    assert Recipe(**SMALL, training=whole).trains() == whole
    assert Recipe(**{**SMALL, "model": "own.py:Net"}).trains() == Training()


def test_changes_know_every_field_of_training() -> None:
    assert set(Changes().__dict__) == set(Training().__dict__) | {"learning_rate"}


BAD = {
    "an unknown key": ("metods = ['dense']", r"r\.toml:4: metods: unknown key 'metods'; did you mean 'methods'"),
    "an unknown key of training": (
        "[training]\nepocs = 3",
        r"r\.toml:5: training\.epocs: unknown key 'epocs'; did you mean 'epochs'",
    ),
    "an unknown method": (
        "methods = ['dense', 'riggl']",
        r"r\.toml:4: methods\[1\]: unknown method 'riggl'; did you mean 'rigl'",
    ),
    "an unknown setting": (
        "methods = [{name = 'rigl', evry = 2}]",
        r"r\.toml:4: methods\[0\]: unknown setting of .*did you mean 'every'",
    ),
    "a setting out of range": (
        "methods = ['rigl[every=0]']",
        r"r\.toml:4: methods\[0\]: drop-and-grow: every is 0; expected",
    ),
    "a method without a name": (
        "methods = [{every = 2}]",
        r"r\.toml:4: methods\[0\]: a table of settings needs a name",
    ),
    "a method that is a number": ("methods = [3]", r"r\.toml:4: methods\[0\]: found 3, expected a name such as"),
    "methods that are a number": ("methods = 3", r"r\.toml:4: methods: found a int, expected a list"),
    "a table of tables": (
        "[[methods]]\nname = 'rigl'\n[[methods]]\nname = 'sett'",
        r"r\.toml:6: methods\[1\]: unknown method 'sett'",
    ),
    "a wrong item": ("sparsities = [0.5, 'a']", r"r\.toml:4: sparsities\[1\] is 'a'; expected float, found str"),
    "a wrong range": (
        "sparsities = [0.5, 1.0]",
        r"r\.toml:4: sparsities\[1\] is 1\.0; expected a number at least 0 and below 1",
    ),
    "text for a list": ("seeds = '0,1'", r"r\.toml:4: seeds is '0,1'; expected tuple"),
    "text for a number": ("workers = 'two'", r"r\.toml:4: workers is 'two'; expected int"),
    "yes for true": ("latency = 'yes'", r"r\.toml:4: latency is 'yes'; expected bool, found str"),
    "a number beyond all": ("workers = 99999999999999999999", r"r\.toml:4: workers is a number beyond"),
    "an unknown engine": ("engine = 'rays'", r"r\.toml:4: engine is 'rays'; expected one of 'local', 'inline', 'ray'"),
    "a wrong budget": ("budgets = ['byts<=3']", r"r\.toml: unknown field of a budget 'byts'; did you mean 'bytes'"),
    "training that is a number": ("training = 3", r"r\.toml:4: training: found a int, expected keys and values"),
    "a wrong epoch": ("[training]\nepochs = -1", r"r\.toml:5: training\.epochs: epochs is -1|r\.toml:5: epochs is -1"),
    "an unknown optimiser": (
        "[training]\noptimizer = 'adm'",
        r"r\.toml:5: training\.optimizer: unknown optimizer 'adm'; did you mean 'adam'",
    ),
    "a wrong schedule": (
        "[training]\nschedule = 'step[evry=2]'",
        r"r\.toml:5: training\.schedule: unknown setting of step 'evry'",
    ),
    "data and task": ("task = 'own:make'", r"r\.toml: data and task exclude each other"),
    "two of a name": (
        "methods = ['dense', 'dense']",
        r"r\.toml: two methods are called 'dense'; give one of them another",
    ),
    "a date": ("workers = 2024-01-01", r"r\.toml:4: workers is datetime"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_a_mistake_in_a_file_names_line_key_and_what_was_meant(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.toml").write_text(f'data = "digits-graph"\nmodel = "gcn"\nout = "o"\n{text}\n')
    with pytest.raises(RecipeError, match=message) as error:
        Recipe.load(tmp_path / "r.toml")
    assert "\n" not in str(error.value)


def test_what_is_missing_is_named_with_what_writes_an_example(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("seeds: [0]\n")
    with pytest.raises(RecipeError, match=r"needs data \(or task\) and model and out; `gossamer recipe init`"):
        Recipe.load(tmp_path / "r.yaml")
    made = Recipe.load(tmp_path / "r.yaml", {"task": "a:b", "model": "gcn", "out": Path("o")})
    assert (made.task, made.seeds) == ("a:b", (0,))
    with pytest.raises(SettingError, match="unknown key 'dta'; did you mean 'data'"):
        Recipe.make({"dta": "cora"})


def test_changes_override_a_file(tmp_path: Path) -> None:
    path = Recipe(**SMALL, seeds=[4], training={"epochs": 7, "patience": 3}).save(tmp_path / "r.toml")
    made = Recipe.load(path, {"task": "own:make", "training": Changes(epochs=2)})
    assert (made.data, made.task, made.seeds) == (None, "own:make", (4,))
    assert made.training == Changes(epochs=2, patience=3)


def test_the_example_runs_as_it_is_and_names_every_key(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(example())
    assert Recipe.load(path).data == "digits-graph"
    commented = [
        line for line in example().splitlines() if line.startswith("# ") and " = " in line and ": " not in line
    ]
    opened = [line.removeprefix("# ") for line in example().splitlines() if line in commented]
    path.write_text(
        "\n".join(line.removeprefix("# ") if line in commented else line for line in example().splitlines())
    )
    with pytest.raises(RecipeError, match="data and task exclude each other"):
        Recipe.load(path)
    path.write_text(path.read_text().replace("\ntask =", "\n# task ="))
    recipe = Recipe.load(path)
    assert {line.partition(" =")[0] for line in opened} >= set(Changes().__dict__) | {"seeds", "engine", "budgets"}
    assert recipe.training.epochs == 100
    assert recipe.budgets == ("bytes<=10k",)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["data", "methods", "seeds", "training", "out", "sparsities", "columns", "budgets", "task"]),
        st.recursive(
            st.none() | st.booleans() | st.integers(-3, 3) | st.text(alphabet="a[]=:.,", max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["name", "epochs", "optimizer", "every"]), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    )
)
def test_any_file_is_a_recipe_or_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "r.yaml").write_text(json.dumps({"data": "cora", "model": "gcn", "out": "o"} | values))
    with contextlib.suppress(GossamerError):
        Recipe.load(tmp_path / "r.yaml")
