"""Events of MkDocs: adds the generated pages, orders all of them, and fails where a public name has no page."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import pages  # beside this file, which MkDocs does not import as a package

GUIDE = {
    "Quick start": "quick-start.md",
    "Your own model": "your_own_model.md",
    "Your own loop": "your_own_loop.md",
    "Choosing a method": "choosing.md",
    "Every method on Cora": "cora.md",
    "Exporting": "export.md",
    "The engine": "engine.md",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Orders the pages: the guide, what is generated, and how it is built."""
    written = Path(config.docs_dir)
    guide = [{title: path} for title, path in GUIDE.items() if (written / path).exists()]
    sections = pages.sections()
    config.nav = [
        {"Home": "index.md"},
        {"Guide": guide},
        *({title: [{name: path} for name, path, _ in found]} for title, found in sections.items()),
        *([{"Ledger": "ledger.md"}] if (written / "ledger.md").exists() else []),
        {"Benchmarks": "benchmarks.md"},
        {"Architecture": "architecture.md"},
        {"Contributing": "contributing.md"},
        {"Changes": "changes.md"},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made from docstrings, records and the files beside the sources."""
    root = Path(config.config_file_path).parent
    generated = {path: text for found in pages.sections().values() for _, path, text in found}
    generated |= {
        "index.md": pages.from_root(root / "README.md"),
        "contributing.md": pages.from_root(root / "CONTRIBUTING.md"),
        "changes.md": pages.from_root(root / "CHANGELOG.md"),
        "benchmarks.md": pages.benchmarks(root / "benchmarks" / "results"),
    }
    for path, text in generated.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_post_build(config: MkDocsConfig) -> None:
    """Fails where a public name has no place in the reference."""
    inventory = (Path(config.site_dir) / "objects.inv").read_bytes()
    packed = inventory.split(b"\n", 4)[4]
    documented = {line.split()[0] for line in zlib.decompress(packed).decode().splitlines()}
    missing = sorted(name for name in pages.public_names() if name not in documented)
    if missing:
        raise PluginError(f"{len(missing)} public names have no page: {', '.join(missing[:20])}")
