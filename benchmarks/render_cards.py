"""Render the model cards in docs/models from the manifests of the shipped models and from benchmarks/results.

.venv/bin/python benchmarks/render_cards.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from card_sections import SECOND, CardSubject, PartFile, render_card
from draw_cards import draw_calibration, draw_coverage

from ctiforge.classify.classifier import BUNDLED_MODELS, bundled_model_path
from ctiforge.core.files import file_sha256, write_text
from ctiforge.sources.cwe import load_catalogue, shipped_table

__all__ = ["CARDS", "load_subject", "main", "measured_models", "rendered"]

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
CARDS = ROOT / "docs" / "models"


def main() -> int:
    """Write cards and pictures, or with --check only tell whether the cards are up to date."""
    pages = {CARDS / name: text for model in measured_models() for name, text in rendered(load_subject(model)).items()}
    if "--check" in sys.argv[1:]:
        cards = {path: text for path, text in pages.items() if path.suffix == ".md"}
        return int(any(not path.exists() or path.read_text("utf-8") != text for path, text in cards.items()))
    for path, text in pages.items():
        write_text(path, text)
    for model in set(BUNDLED_MODELS) - set(measured_models()):
        print(f"no card of {model}: it was not measured yet (make bench)")
    return 0


def measured_models() -> list[str]:
    """Return the bundled models that have a result file, in order."""
    return [model for model in BUNDLED_MODELS if (RESULTS / f"classifier-{model}.json").exists()]


def load_subject(model: str) -> CardSubject:
    """Read what the card of a bundled model is made of."""
    folder = bundled_model_path(model)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    parts = {"": manifest}
    if "parts" in manifest:
        own = folder / "linear"
        linear = own if own.is_dir() else bundled_model_path(manifest["parts"]["linear"]["name"])
        folders = {"encoder": folder / "encoder", SECOND: folder / "second", "linear": linear}
        if "second" not in manifest["parts"]:
            del folders[SECOND]
        parts = {name: json.loads((at / "manifest.json").read_bytes()) for name, at in folders.items()}
    files = [
        PartFile(path.relative_to(folder).as_posix(), path.stat().st_size, file_sha256(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    results = json.loads((RESULTS / f"classifier-{model}.json").read_bytes())
    return CardSubject(model, manifest, parts, files, results)


def rendered(subject: CardSubject) -> dict[str, str]:
    """Return the card and its pictures by file name."""
    pictures = {
        f"{subject.name}-calibration.svg": draw_calibration(subject.results),
        f"{subject.name}-coverage.svg": draw_coverage(subject.results),
    }
    captions = {name: text for name, (_, text) in pictures.items()}
    card = render_card(subject, captions, load_catalogue(shipped_table()))
    return {f"{subject.name}.md": card} | {name: picture for name, (picture, _) in pictures.items()}


if __name__ == "__main__":
    sys.exit(main())
