"""`import gossamer` and `gossamer --help` load nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from types import ModuleType

import pytest

HEAVY = {"torch", "torch_geometric", "numpy", "scipy", "sklearn", "pandas", "plotly", "lightning", "networkx"}
CASES = {
    "import gossamer": "import gossamer",
    "gossamer --help": "from gossamer.cli import main; main(['--help'])",
    "gossamer compare --help": "from gossamer.cli import main; main(['compare', '--help'])",
    "an unknown command": "from gossamer.cli import main; main(['compar'])",
    "an unknown option": "from gossamer.cli import main; main(['compare', '--dta', 'x'])",
    "gossamer report": "from gossamer.cli import main; main(['report', 'not-there'])",
    "gossamer run --help": "from gossamer.cli import main; main(['run', '--help'])",
    "gossamer serve --help": "from gossamer.cli import main; main(['serve', '--help'])",
    "gossamer papers --help": "from gossamer.cli import main; main(['papers', '--help'])",
    "gossamer papers check --help": "from gossamer.cli import main; main(['papers', 'check', '--help'])",
}


@pytest.mark.parametrize("code", CASES.values(), ids=CASES.keys())
def test_loads_nothing_heavy(code: str) -> None:
    script = f"import sys, json; {code}; sys.stderr.write('\\n' + json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}
    assert "gossamer" in loaded
    assert not loaded & HEAVY


def test_every_public_name_loads_and_no_module_takes_its_place() -> None:
    import gossamer
    import gossamer.cli
    import gossamer.compression.compare
    import gossamer.train.fit

    for name in gossamer.__all__:
        assert getattr(gossamer, name) is not None
        assert not isinstance(getattr(gossamer, name), ModuleType), name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        gossamer.nonsense  # noqa: B018
