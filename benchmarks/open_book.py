"""Multiple choice from the knowledge base: cti-mcq by source, by ATT&CK domain, by what the index lacks, and turned round.

    ctiforge bench run --model ask --kb KB --task cti-mcq --data DIR/ctibench --protocol greedy --permute cyclic --out RUN
    python benchmarks/open_book.py --run RUN --kb KB --data DIR [--out FILE]

The run asks every item in each rotation of its options. The items' pages (column URL) say which source and which object an item
was made from; whether the index holds that object says what is missing. Only counts are kept, and no text of an item.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from machine import describe_machine

from ctiforge.ask import KnowledgeBase
from ctiforge.bench.completion import ScoredItem
from ctiforge.bench.saved_run import read_scores
from ctiforge.bench.task import Sample
from ctiforge.bench.tasks import load_task
from ctiforge.core.files import write_json
from ctiforge.core.metrics import wilson_interval
from ctiforge.core.object_ids import object_of_url

MISSING_LISTED = 25


def main() -> None:
    """Count and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run with --permute cyclic")
    parser.add_argument("--kb", type=Path, required=True, help="the knowledge base that was asked")
    parser.add_argument("--data", type=Path, required=True, help="folder with ctibench/")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "open-book.json")
    arguments = parser.parse_args()
    base = KnowledgeBase.load(arguments.kb, embeddings=False)
    loaded = load_task("cti-mcq", arguments.data / "ctibench")
    record = json.loads((arguments.run / "record.json").read_bytes())
    items = read_scores(arguments.run)
    result = {
        "machine": describe_machine(),
        "model": record["model"],
        "data_sha256": loaded.sha256,
        **count(base, loaded.samples, items),
    }
    write_json(arguments.out, result)
    print(json.dumps(result, indent=2))


def count(base: KnowledgeBase, samples: Sequence[Sample], items: Iterable[ScoredItem]) -> dict[str, Any]:
    """Return accuracies over all, by source, by domain and by whether the page is held; and how rotations agree."""
    right: dict[str, dict[int, bool]] = {}
    answers: dict[str, set[str | None]] = {}
    for item in items:
        right.setdefault(item.sample_id, {})[item.permutation] = item.outcome == "correct"
        answers.setdefault(item.sample_id, set()).add(item.answer)
    straight = {sample: found[0] for sample, found in right.items()}
    turned = [each for found in right.values() for each in found.values()]
    groups: dict[str, dict[str, list[bool]]] = {"by_source": {}, "by_domain": {}, "by_page": {}}
    missing: Counter[str] = Counter()
    for sample in samples:
        page = object_of_url(sample.source)
        held = base.get(page) if page else None
        good = straight[sample.id]
        groups["by_source"].setdefault(source_of(sample.source), []).append(good)
        state = "no page of ATT&CK, CWE or CAPEC"
        if page:
            state = "in the index" if held is not None else "not in the index"
        groups["by_page"].setdefault(state, []).append(good)
        if held is not None and held.domains:
            groups["by_domain"].setdefault(", ".join(held.domains), []).append(good)
        if held is None:
            missing[page or urlsplit(sample.source).netloc or sample.source.strip() or "not stated"] += 1
    return {
        "accuracy": share(straight.values()),
        "accuracy_over_rotations": round(sum(turned) / len(turned), 4),
        "answered_alike_in_all_rotations": round(sum(len(found) == 1 for found in answers.values()) / len(answers), 4),
        **{name: {key: share(found) for key, found in sorted(group.items())} for name, group in groups.items()},
        "missing_sources": dict(missing.most_common(MISSING_LISTED)),
        "missing_sources_in_all": len(missing),
    }


def source_of(url: str) -> str:
    """Return the catalogue of an item's page, or what else it was made from."""
    host = urlsplit(url).netloc.removeprefix("www.")
    names = {"attack.mitre.org": "ATT&CK", "cwe.mitre.org": "CWE", "capec.mitre.org": "CAPEC"}
    return names.get(host, "other documents")


def share(found: Iterable[bool]) -> Mapping[str, Any]:
    """Return n, the share of right answers and its interval."""
    listed = list(found)
    interval = wilson_interval(sum(listed), len(listed))
    return {
        "n": len(listed),
        "accuracy": round(sum(listed) / len(listed), 4),
        "interval_95": [round(interval.low, 4), round(interval.high, 4)],
    }


if __name__ == "__main__":
    main()
