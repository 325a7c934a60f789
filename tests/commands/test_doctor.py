from __future__ import annotations

from gossamer.commands.doctor import absent, extra_requirements


def test_extras_are_those_of_the_package() -> None:
    extras = extra_requirements()
    assert extras["search"] == ["optuna"]
    assert set(extras["export"]) == {"onnx", "onnxscript", "onnxruntime"}
    assert "dev" not in extras


def test_absent_names_what_is_not_installed() -> None:
    assert absent(["NumPy", "no-such-distribution", "torch"]) == ["no-such-distribution"]
