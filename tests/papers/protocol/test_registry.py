from __future__ import annotations

import pkgutil
import re

import pytest

import gossamer.papers
from gossamer.compression import methods
from gossamer.errors import SettingError
from gossamer.papers import paper, papers, register
from tests.papers.protocol.toy import toy


def test_every_module_registers_the_paper_it_is_named_after() -> None:
    modules = {found.name for found in pkgutil.iter_modules(gossamer.papers.__path__) if not found.ispkg}
    assert {name.replace("-", "_") for name in papers()} == modules


def test_every_paper_that_a_method_follows_is_registered() -> None:
    assert {entry.paper for entry in methods().values() if entry.paper} <= set(papers())


@pytest.mark.parametrize("name", papers())
def test_what_is_said_of_a_paper_reads_as_such(name: str) -> None:
    found = papers()[name]
    assert re.fullmatch(r"\d{4}\.\d{4,5}|", found.arxiv)
    assert 1950 < found.year < 2100
    assert found.title
    assert found.authors
    for claim in found.claims:
        assert claim.statement.endswith(".")
        assert claim.reported.endswith(".")
        assert not claim.metric.endswith(".")


def test_an_unknown_paper_names_the_nearest() -> None:
    with pytest.raises(SettingError, match="did you mean 'gnn-sparsification'"):
        paper("gnn-sparsificaton")


def test_an_id_is_taken_once() -> None:
    assert register(papers()["gnn-sparsification"]).id == "gnn-sparsification"
    with pytest.raises(SettingError, match="is taken"):
        register(toy(id="gnn-sparsification"))
