"""An invented corpus of a few records, and a recipe that fits a tiny model to it in seconds.

Read by tests with `runpy.run_path`; run as a program, it trains and can kill itself on the way.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

WEAKNESSES = {"CWE-79": "cross-site scripting in the search page", "CWE-89": "SQL injection in the login form"}


def write_corpus(folder: Path, count: int = 24, development: int = 6) -> Path:
    """Write train.jsonl and development.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, first in (("train", 0), ("development", 1000)):
        rows = []
        for number in range(first, first + (count if split == "train" else development)):
            label = list(WEAKNESSES)[number % 2]
            kind = "qa" if number % 3 == 2 else "rcm"
            rows.append(
                {
                    "id": f"{kind}/{number}",
                    "kind": kind,
                    "prompt": f"Name the CWE. Product {number} has a {WEAKNESSES[label]}.",
                    "completion": f'The words "{WEAKNESSES[label][:9]}" decide.\n\n{label}',
                }
            )
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def write_recipe(file: Path, bundled: str, **changes: str) -> Path:
    """Write the bundled recipe with lines replaced: ``size="4"`` sets the line that begins with ``size:``."""
    lines = bundled.splitlines()
    for name, value in changes.items():
        places = [at for at, line in enumerate(lines) if line.strip().startswith(f"{name}:")]
        for at in places:
            indent = len(lines[at]) - len(lines[at].lstrip())
            lines[at] = f"{' ' * indent}{name}: {value}"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def main(base: str, corpus: str, out: str, recipe: str, die_at: int) -> None:
    """Train; end by SIGKILL once `die_at` optimizer steps of this process are done (0: never)."""
    import torch

    from ctiforge.train import lora
    from ctiforge.train.lora_recipe import load_lora_recipe

    steps = 0
    before = torch.optim.AdamW.step

    def step(self: torch.optim.AdamW, *given: object, **named: object) -> object:
        nonlocal steps
        result = before(self, *given, **named)
        steps += 1
        if steps == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    torch.optim.AdamW.step = step  # type: ignore[method-assign, assignment]
    made = lora.run_train_lora(load_lora_recipe(recipe), base, Path(corpus), Path(out), device="cpu", threads=1)
    print(made.digest)


if __name__ == "__main__":
    main(*sys.argv[1:5], int(sys.argv[5]))
