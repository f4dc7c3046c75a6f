"""The model card of a fine-tuned model, rendered from what the factory wrote: no figure in it is typed by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ctiforge.models.memory_plan import Planned, Shape

__all__ = ["CardFacts", "Comparison", "render_card"]

_USES = (
    "**CWE classification**: mapping descriptions of vulnerabilities to the weakness behind them, for a person to check",
    "**Questions on ATT&CK, CAPEC, CWE and CVE records** of the kind it was trained on",
    "**Benchmarking** of compact models on CTI-Bench under a stated protocol",
)
_NOT_FOR = (
    "**Harmful content**: exploit code, weaponised proofs of concept, attack tooling or tradecraft",
    "**Decisions without a person**: nothing may be blocked, patched, closed or sent because of an answer alone",
    "**Other subjects**: general chat, programming, legal or medical advice",
    "**Unlawful use**, scanning or access without authorisation among it",
)
_LIMITS = (
    "Answers follow the labels it was trained on; labels of vulnerabilities are often disputed, and parties differ.",
    "It knows no more than its base and the corpus, whose newest record is dated in the table of training data.",
    "English only.",
    "Text in a record can try to steer the model. Fine-tuning is no protection: treat answers on untrusted text as untrusted.",
    "No alignment beyond that of its base was applied.",
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A figure of another model on a task.

    Attributes:
        measured: by ctiforge under the protocol of this card; else published elsewhere, by `source`.
    """

    model: str
    size: str | None
    task: str
    value: float
    std: float | None
    measured: bool
    source: str


@dataclass(frozen=True, slots=True)
class CardFacts:
    """Everything that a card is rendered from.

    Attributes:
        training: manifest.json of the fine-tuning.
        front_matter: YAML of the model-index, empty without records.
        records: benchmark records of this model.
        shape, serving: what the memory planner says of the base.
        datasheet: of the corpus, None if it is not at hand.
        gguf: manifest.json of the GGUF files.
        quantization: the report that compares them with their parent.
    """

    name: str
    training: Mapping[str, Any]
    front_matter: str = ""
    records: Sequence[Mapping[str, Any]] = ()
    shape: Shape | None = None
    serving: Sequence[Planned] = ()
    datasheet: Mapping[str, Any] | None = None
    gguf: Mapping[str, Any] | None = None
    quantization: Mapping[str, Any] | None = None
    comparison: Sequence[Comparison] = field(default_factory=tuple)


def render_card(facts: CardFacts) -> str:
    """Return a card for the Hugging Face hub: YAML front matter, then Markdown."""
    parts = (
        _front_matter(facts),
        _heading(facts),
        "## Intended use\n\n" + _bullets(_USES) + "\n\nOut of scope:\n\n" + _bullets(_NOT_FOR),
        _hardware(facts),
        _data(facts),
        _procedure(facts),
        _evaluation(facts),
        _comparison(facts),
        _quantization(facts),
        "## Limitations\n\n" + _bullets(_LIMITS),
        _citation(facts),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(facts: CardFacts) -> str:
    base = facts.training["base"]
    licence = "apache-2.0" if base["licence"] == "Apache-2.0" else "gemma" if "Gemma" in base["licence"] else "other"
    lines = [
        "---",
        f"license: {licence}",
        f"base_model: {base['model']}",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "language: [en]",
        "tags: [cybersecurity, cti, cwe-classification, vulnerability-analysis, lora, peft, ctiforge]",
        facts.front_matter.rstrip("\n"),
        "---",
    ]
    return "\n".join(line for line in lines if line)


def _heading(facts: CardFacts) -> str:
    training = facts.training
    recipe, base = training["recipe"], training["base"]
    lora = recipe["lora"]
    rows = [
        ("Base model", f"{base['model']} (licence: {base['licence']}), digest `{base['digest'][:16]}`"),
        ("Adapter", f"LoRA, rank {lora['rank']}, alpha {lora['alpha']:g}, dropout {lora['dropout']:g}"),
        ("SHA-256 of the adapter", f"`{training['adapter_sha256']}`"),
        ("Recipe", f"`{recipe['name']}`: {recipe['description']}"),
        ("Made with", f"ctiforge {training['versions'].get('ctiforge', '?')}, revision `{str(training['git_revision'])[:12]}`"),
    ]
    if facts.shape is not None:
        parameters = facts.shape.parameters
        rows.insert(1, ("Parameters", f"{_billions(parameters.total)}, {_billions(parameters.effective)} effective a token"))
    intro = "A compact model for defensive cyber threat intelligence. Its answers are suggestions: a person decides."
    return f"# {facts.name}\n\n{intro}\n\n" + _table(("", ""), rows)


def _hardware(facts: CardFacts) -> str:
    if not facts.serving:
        return ""
    rows = [(each.quantization, _gb(each.weights), _gb(each.cache), _gb(each.total)) for each in facts.serving]
    context = facts.serving[0].context
    note = "From the configuration (`ctiforge plan`), not measured; a runtime's own needs are an allowance."
    return (
        "## Hardware\n\n" + note + "\n\n" + _table(("precision", "weights, GB", f"cache at {context:,} tokens", "in all"), rows)
    )


def _data(facts: CardFacts) -> str:
    stages = facts.training["stages"]
    rows = [
        (
            stage["stage"]["name"],
            ", ".join(f"{count:,} {kind}" for kind, count in stage["kinds"].items()),
            f"{stage['examples']:,}",
            "; ".join(f"{count:,} {reason}" for reason, count in stage["changes"].items()) or "none",
        )
        for stage in stages
    ]
    text = "## Training data\n\n" + _table(("stage", "records", "learnt", "changed or left out"), rows)
    sheet = facts.datasheet
    if sheet is None:
        return text
    years = sorted(year for year in sheet["counts"]["train"].get("year", {}) if year.isdigit())  # some have none
    span = f" dated {years[0]} to {years[-1]}" if years else ""
    text += (
        f"\n\nCorpus `{sheet['name']}`: {sheet['records']['train']:,} training records{span}, and "
        f"{sheet['records']['development']:,} of the development split. {sheet['description']}"
        f"\n\nLicences of the sources: {'; '.join(sheet['licences'])}."
    )
    found = sheet["contamination"]
    removed = [
        (level, file, f"{count:,}")
        for level, files in sorted(found["removed"].items())
        for file, count in sorted(files.items())
    ]
    text += (
        f"\n\nRecords that met an item of {', '.join(found['against'])} at one of the levels "
        f"{', '.join(found['levels_that_remove'])} were left out before training:\n\n"
        + _table(("level", "benchmark file", "records left out"), removed)
    )
    return text


def _procedure(facts: CardFacts) -> str:
    training = facts.training
    recipe = training["recipe"]
    step, batches = recipe["optimization"], recipe["batches"]
    rows = [
        ("layers", ", ".join(recipe["lora"]["targets"])),
        ("learning rate", f"{step['learning_rate']:g}, {step['schedule']}, warm-up {step['warmup_ratio']:.0%} of the steps"),
        ("weight decay, gradient norm", f"{step['weight_decay']:g}, at most {step['max_gradient_norm']:g}"),
        ("batch", f"{batches['size']} x {batches['accumulation']} examples of at most {batches['max_tokens']:,} tokens"),
        ("precision, attention", f"{recipe['precision']}, {recipe['attention']}"),
        ("loss", "on completion tokens only" + (" (the answer alone)" if recipe["completions"] == "last-line" else "")),
        ("seed", str(recipe["seed"])),
        ("device", f"{training['device']}, {sum(stage['seconds'] for stage in training['stages']) / 3600:.2f} hours"),
    ]
    stages = [
        (
            stage["stage"]["name"],
            str(stage["stage"]["epochs"]),
            f"{stage['steps']:,}",
            _number(stage["evaluation"].get("eval_loss")),
            f"{stage['evaluation_examples']:,}",
        )
        for stage in training["stages"]
    ]
    header = ("stage", "epochs", "steps", "loss on the development split", "of records")
    return "## Training procedure\n\n" + _table(("setting", "value"), rows) + "\n\n" + _table(header, stages)


def _evaluation(facts: CardFacts) -> str:
    if not facts.records:
        return ""
    rows = []
    for record in facts.records:
        protocol = record["protocol"]
        for task in record["tasks"]:
            score = task["accuracy"] or {}
            if score.get("mean") is None:
                continue
            std = "" if score.get("std") is None else f" ± {score['std']:.4f}"
            interval = f"{score['ci95_low']:.3f} to {score['ci95_high']:.3f}"
            settings = protocol["settings"]
            how = f"{protocol['name']}, temperature {settings['temperature']:g}" + (
                ", changed settings" if protocol["custom"] else ""
            )
            left = ", ".join(f"{count:,} ({reason})" for reason, count in task["left_out"].items()) or "none"
            rows.append(
                (task["task"], f"**{score['mean']:.4f}**{std}", interval, str(score["trials"]), f"{task['n']:,}", left, how)
            )
    header = ("task", "strict accuracy", "95 % interval", "trials", "n", "left out", "protocol")
    note = "An answer that cannot be read is wrong. Completions, rules and digests are in the records."
    return "## Evaluation\n\n" + note + "\n\n" + _table(header, rows)


def _comparison(facts: CardFacts) -> str:
    if not facts.comparison:
        return ""
    order = sorted(facts.comparison, key=lambda each: (each.task, -each.value))
    rows = [
        (
            each.task,
            each.model,
            each.size or "",
            f"{each.value:.4f}" + ("" if each.std is None else f" ± {each.std:.4f}"),
            "measured" if each.measured else "published",
            each.source,
        )
        for each in order
    ]
    header = ("task", "model", "size", "accuracy", "", "source")
    note = "Published figures are their sources', under protocols that may differ; only measured ones can be recomputed here."
    return "### Beside other models\n\n" + note + "\n\n" + _table(header, rows)


def _quantization(facts: CardFacts) -> str:
    if facts.gguf is None:
        return ""
    measured = {row["quantization"]: row for row in (facts.quantization or {}).get("files", [])}
    rows = []
    for file in facts.gguf["files"]:
        row = measured.get(file["quantization"], {})
        rows.append(
            (
                file["quantization"],
                f"{file['bytes'] / 1e6:,.1f}",
                _number(row.get("accuracy")),
                "" if "difference" not in row else f"{row['difference']:+.4f} (p {row['p']:.2g})",
                _number(row.get("perplexity")),
                "" if "tokens_per_second" not in row else f"{row['tokens_per_second']:,.0f}",
                f"`{file['sha256'][:16]}`",
            )
        )
    header = ("file", "MB", "accuracy", "against its parent", "perplexity", "tokens/s", "SHA-256")
    given = facts.gguf.get("importance")
    note = f"Before quantization, llama.cpp wrote {facts.gguf['parity']:.0%} of a few texts as transformers did."
    note += "" if not given else f" Importance matrix: {given['texts']:,} records of the training corpus, no other text."
    return "## Quantized files\n\n" + note + "\n\n" + _table(header, rows)


def _citation(facts: CardFacts) -> str:
    key = "".join(letter for letter in facts.name.lower() if letter.isalnum())
    return f"## Citation\n\n```bibtex\n@misc{{{key},\n  title = {{{facts.name}}},\n  note = {{Made with ctiforge}}\n}}\n```"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(_lines(header, rows))


def _lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _billions(count: int) -> str:
    return f"{count / 1e9:.2f} billion" if count >= 1e8 else f"{count:,}"


def _gb(count: int) -> str:
    return f"{count / 1e9:.2f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
