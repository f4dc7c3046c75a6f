"""Invented benchmark records: no benchmark item and no published figure.

Read with `runpy.run_path`, because test folders are no packages.
"""

from __future__ import annotations

import copy
from typing import Any

PILLARS = [
    "CWE-284",
    "CWE-435",
    "CWE-664",
    "CWE-682",
    "CWE-691",
    "CWE-693",
    "CWE-697",
    "CWE-703",
    "CWE-707",
    "CWE-710",
    "other",
]
HOSTILE = "<script>alert(1)</script>|`x`\u202e$\\frac{a}{b}$ @team www.example.org"


def trial(number: int, correct: int, wrong: int, unparsed: int = 0, truncated: int = 0, failed: int = 0) -> dict[str, Any]:
    n = correct + wrong + unparsed + truncated + failed
    valid = not failed
    return {
        "trial": number,
        "seed": 1000 + number,
        "valid": valid,
        "n": n,
        "missing": 0,
        "counts": {"correct": correct, "wrong": wrong, "unparsed": unparsed, "truncated": truncated, "failed": failed},
        "accuracy": correct / n if valid and n else None,
        "parse_rate": (correct + wrong) / n if valid and n else None,
    }


def accuracy(mean: float, std: float | None, trials: int, low: float, high: float) -> dict[str, Any]:
    return {
        "mean": mean,
        "std": std,
        "trials": trials,
        "ci95_low": low,
        "ci95_high": high,
        "bootstrap_samples": 10000,
        "bootstrap_seed": 0,
    }


def sensitivity(*rows: tuple[str, float, float | None, int, int]) -> list[dict[str, Any]]:
    names = ("rule", "accuracy", "accuracy_of_parsed", "parsed", "n")
    return [{**dict(zip(names, row, strict=True)), "is_default": place == 0} for place, row in enumerate(rows)]


def task(name: str, kind: str, n: int, rule: str, **parts: Any) -> dict[str, Any]:
    return {
        "task": name,
        "answer_kind": kind,
        "file": f"{name}.tsv",
        "sha256": (name.encode().hex() * 8)[:64],
        "licence": "CC BY-NC-SA 4.0",
        "n": n,
        "left_out": {},
        "rule": rule,
        "unscored": 0,
        "trials": [],
        "accuracy": None,
        "parse_rate": None,
        "metrics": {},
        "sensitivity": [],
        "contamination": [],
        **parts,
    }


def cwe_task() -> dict[str, Any]:
    matrix = [[0] * 11 for _ in range(11)]
    for gold, answer, count in [
        (0, 0, 60),
        (0, 2, 12),
        (2, 2, 210),
        (2, 0, 18),
        (2, 8, 30),
        (8, 8, 230),
        (8, 2, 14),
        (10, 2, 6),
    ]:
        matrix[gold][answer] = count
    return task(
        "cti-rcm",
        "cwe",
        200,
        "last-cwe",
        left_out={"duplicate": 10},
        unscored=3,
        trials=[trial(0, 150, 46, 4), trial(1, 148, 50, 1, 1), trial(2, 152, 45, 3)],
        accuracy=accuracy(0.75, 0.01, 3, 0.6883, 0.8067),
        parse_rate=0.985,
        top_k={"1": 0.75, "3": 0.86, "5": 0.905},
        metrics={
            "cwe_version": "4.14",
            "macro_f1": 0.5123,
            "hierarchy_accuracy": 0.842,
            "best_possible_with_allowed_only": 0.93,
            "answers_by_mapping_usage": {"Allowed": 470, "Allowed-with-Review": 90, "Discouraged": 31, "Prohibited": 0},
            "golds_by_mapping_usage": {"Allowed": 440, "Allowed-with-Review": 118, "Discouraged": 42, "Prohibited": 0},
            "families": {"labels": PILLARS, "matrix": matrix, "unanswered": [3, 0, 4, 0, 0, 0, 0, 0, 2, 0, 0]},
            "per_label": [
                {"label": "CWE-79", "n": 80, "accuracy": 0.975},
                {"label": "CWE-787", "n": 50, "accuracy": 0.84},
                {"label": "CWE-863", "n": 40, "accuracy": 0.45},
                {"label": "CWE-20", "n": 24, "accuracy": 0.375},
                {"label": "CWE-1333", "n": 6, "accuracy": 1},
            ],
            "reliability": {
                "bins": [
                    {"low": 0.2, "high": 0.4, "n": 45, "confidence": 0.31, "accuracy": 0.22},
                    {"low": 0.4, "high": 0.6, "n": 105, "confidence": 0.52, "accuracy": 0.44},
                    {"low": 0.6, "high": 0.8, "n": 150, "confidence": 0.71, "accuracy": 0.66},
                    {"low": 0.8, "high": 1.0, "n": 291, "confidence": 0.95, "accuracy": 0.93},
                ],
                "ece": 0.0457,
            },
        },
        sensitivity=sensitivity(
            ("last-cwe", 0.75, 0.7614, 591, 600), ("first-cwe", 0.7217, 0.7327, 591, 600), ("unique-cwe", 0.695, 0.79, 528, 600)
        ),
        contamination=[
            {"slice": "flagged", "n": 20, "accuracy": 0.9, "ci95_low": 0.75, "ci95_high": 1.0},
            {"slice": "rest", "n": 180, "accuracy": 0.7333, "ci95_low": 0.67, "ci95_high": 0.795},
        ],
    )


def choice_task() -> dict[str, Any]:
    return task(
        "cti-mcq",
        "choice",
        100,
        "mcq-cascade",
        trials=[trial(0, 60, 38, 2), trial(1, 40, 20, 0, 0, 40), trial(2, 62, 35, 1, 2)],
        accuracy=accuracy(0.61, 0.0141, 2, 0.515, 0.705),
        parse_rate=0.975,
        metrics={
            "per_letter": [
                {"letter": "A", "golds": 30, "answers": 22, "accuracy": 0.5},
                {"letter": "B", "golds": 64, "answers": 56, "accuracy": 0.58},
                {"letter": "C", "golds": 74, "answers": 92, "accuracy": 0.73},
                {"letter": "D", "golds": 32, "answers": 25, "accuracy": 0.46},
            ],
            "majority_baseline": 0.37,
            "permutation": {"rotations": 4, "accuracy_mean": 0.58, "all_rotations_right": 0.41, "consistent": 0.55},
        },
        sensitivity=sensitivity(("mcq-cascade", 0.61, 0.6256, 195, 200), ("last-line", 0.48, 0.6486, 148, 200)),
    )


def vector_task() -> dict[str, Any]:
    return task(
        "cti-vsp",
        "cvss_vector",
        50,
        "last-vector",
        trials=[trial(0, 9, 38, 3)],
        accuracy=accuracy(0.18, None, 1, 0.08, 0.3),
        parse_rate=0.94,
        metrics={"mean_absolute_deviation": 1.234, "exact_vector": 0.18, "parsed": 47},
    )


def record(name: str, *tasks: dict[str, Any], **parts: Any) -> dict[str, Any]:
    complete = all(each["valid"] for one in tasks for each in one["trials"])
    return {
        "format": "ctiforge-benchmark/1",
        "model": {
            "name": name,
            "backend": "openai",
            "digest": None,
            "endpoint": "http://127.0.0.1:8000/v1",
            "chat_template_sha256": "ab" * 32,
            "settings": {},
        },
        "protocol": {
            "name": "foundation-sec-ift",
            "version": "1",
            "digest": "cd" * 32,
            "custom": False,
            "settings": {"temperature": 0.3},
        },
        "tasks": list(tasks),
        "complete": complete,
        "environment": {"ctiforge": "0.1.0", "git_revision": "0123456789abcdef0123456789abcdef01234567", "packages": {}},
        **parts,
    }


def usual() -> list[dict[str, Any]]:
    """Two models: one on three tasks with an invalid trial among them, one of one greedy trial with a changed setting."""
    second = cwe_task()
    second |= {
        "trials": [trial(0, 120, 80)],
        "accuracy": accuracy(0.6, None, 1, 0.53, 0.665),
        "parse_rate": 1,
        "contamination": [],
        "left_out": {},
    }
    second.pop("top_k")
    second["metrics"] = {"macro_f1": 0.3, "hierarchy_accuracy": 0.7, "reliability": None}
    other = record("Wombat-270M", second)
    other["protocol"] |= {"name": "greedy", "custom": True}
    other["model"] |= {"backend": "llama.cpp", "digest": "ef" * 32, "endpoint": None}
    return [record("Numbat-2B", cwe_task(), choice_task(), vector_task()), other]


def hostile() -> dict[str, Any]:
    """A record whose every foreign text wants to be something else."""
    task_ = cwe_task() | {"file": HOSTILE, "licence": HOSTILE, "left_out": {HOSTILE: 2}, "rule": HOSTILE}
    task_["sensitivity"][0]["rule"] = HOSTILE
    task_["metrics"]["per_label"][0]["label"] = HOSTILE
    task_["metrics"]["families"] = {"labels": [HOSTILE, "other"], "matrix": [[3, 1], [0, 2]]}
    task_["metrics"]["answers_by_mapping_usage"] = {HOSTILE: 4}
    choice = choice_task()
    choice["metrics"]["per_letter"][0]["letter"] = "<b>"
    found = record(HOSTILE, task_, choice)
    found["model"] |= {"endpoint": "http://x/<img src=x onerror=alert(1)>", "backend": HOSTILE, "digest": HOSTILE}
    found["protocol"] |= {"name": HOSTILE}
    found["environment"] |= {"git_revision": HOSTILE, "ctiforge": HOSTILE}
    return found


def no_valid_trial() -> dict[str, Any]:
    """Every trial failed in part; the counts would make an accuracy of 0.9876 if somebody divided them."""
    task_ = task("cti-rcm", "cwe", 81, "last-cwe", trials=[trial(0, 80, 0, failed=1), trial(1, 80, 0, failed=1)])
    task_["trials"][0]["accuracy"] = 0.9876
    task_["sensitivity"] = sensitivity(("last-cwe", None, None, 0, 0))  # type: ignore[arg-type]
    return record("Quokka-1B", task_)


def nothing_answered() -> dict[str, Any]:
    """A valid trial in which not one answer could be read, and a file without an item."""
    silent = task(
        "cti-rcm",
        "cwe",
        40,
        "last-cwe",
        trials=[trial(0, 0, 0, 30, 10)],
        accuracy=accuracy(0.0, None, 1, 0.0, 0.0),
        parse_rate=0.0,
        sensitivity=sensitivity(("last-cwe", 0.0, None, 0, 40)),
        metrics={
            "macro_f1": 0.0,
            "families": {"labels": PILLARS, "matrix": [[0] * 11 for _ in range(11)]},
            "per_label": [],
            "reliability": None,
            "answers_by_mapping_usage": {},
            "golds_by_mapping_usage": {"Allowed": 40},
        },
    )
    letters = [{"letter": letter, "golds": 0, "answers": 0, "accuracy": None} for letter in "ABCD"]
    empty = task("cti-mcq", "choice", 0, "mcq-cascade", metrics={"per_letter": letters, "majority_baseline": None})
    return record("Echidna-0B", silent, empty)


def changed(base: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return copy.deepcopy(base) | parts
