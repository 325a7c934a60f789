"""Every experiment runs on bundled data, answers for its claims, and does so again from the same seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gossamer.papers import check, papers


@pytest.mark.parametrize("name", papers())
def test_smoke(name: str, tmp_path: Path) -> None:
    found = papers()[name]
    once = check(found, "smoke", seeds=1, out=tmp_path, progress=False)
    assert {record["id"] for record in once.records()} == {claim.id for claim in found.claims}
    assert any(record["measured"] is not None for record in once.records()), "smoke measures at least one claim"
    assert all(record["verdict"] == "not testable at this scale" for record in once.records()), "of one seed"
