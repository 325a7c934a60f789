"""Files are read with the lines of their keys; what is no recipe is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gossamer.errors import FileError, GossamerError, SettingError
from gossamer.recipes.document import RecipeError, read

TOML = """\
# a comment = 1
data = "cora"
methods = [
  "dense",
]
training.epochs = 3

[other]
"quoted key" = 1
[[table]]
a = 1
[[table]]
a = 2
"""

YAML = """\
data: cora
methods:
  - dense
  - name: rigl
    every: 5
training: {epochs: 3, learning_rate: 1e-3}
"""


def write(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def test_lines_of_toml(tmp_path: Path) -> None:
    document = read(write(tmp_path, "r.toml", TOML))
    assert document.values["table"] == [{"a": 1}, {"a": 2}]
    assert document.lines == {
        ("data",): 2,
        ("methods",): 3,
        ("training", "epochs"): 6,
        ("other",): 8,
        ("other", "quoted key"): 9,
        ("table", 0): 10,
        ("table", 0, "a"): 11,
        ("table", 1): 12,
        ("table", 1, "a"): 13,
    }


@pytest.mark.parametrize("suffix", ["yaml", "yml", "YAML"])
def test_lines_of_yaml(tmp_path: Path, suffix: str) -> None:
    document = read(write(tmp_path, f"r.{suffix}", YAML))
    assert document.values["methods"] == ["dense", {"name": "rigl", "every": 5}]
    assert document.values["training"] == {"epochs": 3, "learning_rate": 0.001}
    assert document.lines["methods", 1, "every"] == 5
    assert document.lines["training", "epochs"] == 6


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter(tmp_path: Path) -> None:
    assert read(write(tmp_path, "r.toml", "\ufeffdata = 1\r\n")).values == {"data": 1}
    assert read(write(tmp_path, "r.yaml", "\ufeffdata: 1\r\n")).values == {"data": 1}


BAD = {
    "no TOML": ("r.toml", "data = \n", r"r\.toml:1: is not TOML, invalid value"),
    "a TOML key twice": ("r.toml", "a = 1\na = 2\n", r"r\.toml:2: is not TOML, cannot overwrite a value"),
    "no YAML": ("r.yaml", "a: 1\nb: [1\n", r"r\.yaml:3: is not YAML, expected ',' or '\]'"),
    "a YAML key twice": ("r.yaml", "a:\n  b: 1\n  b: 2\n", r"r\.yaml:3: 'b' is given twice; give it once"),
    "a YAML tag": ("r.yaml", "a: !!python/object/apply:os.system ['ls']\n", r"r\.yaml:1: is not YAML, could not"),
    "a key that is no text": ("r.yaml", "1: a\n", r"r\.yaml:1: a key is not text"),
    "a key that is a list": ("r.yaml", "? [a]\n: b\n", r"r\.yaml:1: a key is not text"),
    "a loop": ("r.yaml", "a: &a\n  - *a\n", r"r\.yaml:1: an alias stands inside what it stands for"),
    "a bad date": ("r.yaml", "a: 2024-13-45\n", r"r\.yaml: is not YAML, month"),
    "a list": ("r.yaml", "- a\n", r"r\.yaml: holds a list, expected keys and values"),
    "nothing": ("r.yaml", "# empty\n", r"r\.yaml: holds nothing, expected keys and values; `gossamer recipe init`"),
    "two documents": ("r.yaml", "a: 1\n---\nb: 1\n", r"r\.yaml:2: is not YAML, but found another document"),
    "another suffix": ("r.json", "{}", r"r\.json: a recipe ends in \.toml, \.yaml or \.yml"),
    "deep nesting": ("r.toml", "a = " + "[" * 5000 + "]" * 5000, r"r\.toml: is nested too deeply"),
    "deep YAML": ("r.yaml", "a: " + "[" * 5000 + "]" * 5000, r"r\.yaml: is nested too deeply"),
    "many aliases": (
        "r.yaml",
        "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"{b}: &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)),
        r"r\.yaml:1: more than 10,000 entries once aliases are written out",
    ),
}


@pytest.mark.parametrize(("name", "text", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_read_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read(write(tmp_path, name, text))


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"could not be read .*check the path"):
        read(tmp_path / "none.toml")
    (tmp_path / "r.toml").write_bytes(b"data = '\xff'")
    with pytest.raises(RecipeError, match=r"is not UTF-8 text \(byte 8\)"):
        read(tmp_path / "r.toml")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="ab:=[]{}'\"\n -&*!1.#,\\\t\x00\x07", max_size=40), st.sampled_from(["r.toml", "r.yaml"]))
def test_any_text_reads_or_is_refused(tmp_path: Path, text: str, name: str) -> None:
    try:
        document = read(write(tmp_path, name, text))
    except GossamerError:
        return
    assert all(1 <= line <= text.count("\n") + 1 for line in document.lines.values())


def test_blame_names_file_line_and_key_once(tmp_path: Path) -> None:
    document = read(write(tmp_path, "r.toml", TOML))
    with pytest.raises(RecipeError) as error, document.blame("methods"), document.blame("methods", 0, "every"):
        raise SettingError("is wrong")
    assert str(error.value) == f"{document.path}:3: methods[0].every: is wrong"
