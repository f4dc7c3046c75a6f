"""`ctiforge doctor`: what is installed, which model, which CWE version, which digests."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Annotated, Any

import orjson
import typer

from ctiforge import __version__
from ctiforge.classify.classifier import BUNDLED_MODELS, load_model
from ctiforge.core.errors import CtiforgeError, ExitCode, MissingExtraError
from ctiforge.core.paths import user_data_dir
from ctiforge.sources.cwe import load_catalogue

__all__ = ["doctor", "examine", "render_findings"]

_CORE = ("numpy", "orjson", "PyStemmer", "rich", "typer", "zstandard")
_ACCURATE = ("onnxruntime", "tokenizers")
_TRAIN = ("cwe2", "pydantic", "PyYAML", "scipy")


def examine() -> dict[str, Any]:
    """Load everything that classifying needs and return the findings; `problems` is empty if all is well."""
    problems: list[str] = []
    models = []
    not_installed: dict[str, str] = {}
    for name in BUNDLED_MODELS:
        try:
            model = load_model(name)
        except MissingExtraError as error:
            not_installed[name] = error.fix or ""
            continue
        except CtiforgeError as error:
            problems.append(str(error))
            continue
        models.append(
            {
                "name": model.name,
                "digest": model.digest,
                "labels": len(model.labels),
                "trained_with_cwe": model.manifest.get("cwe_version"),
                "development": model.manifest.get("development"),
                "threshold": model.manifest.get("threshold"),
            }
        )
    cwe: dict[str, Any] | None = None
    try:
        catalogue = load_catalogue()
        cwe = {"version": catalogue.version, "date": catalogue.date, "digest": catalogue.digest, "path": catalogue.path}
    except CtiforgeError as error:
        problems.append(str(error))
    return {
        "ctiforge": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {"core": _versions(_CORE), "accurate": _versions(_ACCURATE), "train": _versions(_TRAIN)},
        "models": models,
        "not_installed": not_installed,
        "cwe": cwe,
        "user_data": str(user_data_dir()),
        "problems": problems,
    }


def doctor(as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """Say what is installed, which model, which CWE version, which digests; exit 1 if something is wrong."""
    findings = examine()
    if as_json:
        typer.echo(orjson.dumps(findings, option=orjson.OPT_INDENT_2).decode())
    else:
        typer.echo(render_findings(findings))
    if findings["problems"]:
        raise typer.Exit(ExitCode.ERROR)


def render_findings(findings: dict[str, Any]) -> str:
    """Return the findings as text for a person."""
    lines = [f"ctiforge   {findings['ctiforge']}, Python {findings['python']} on {findings['platform']}"]
    for extra, versions in findings["packages"].items():
        found = ", ".join(f"{name} {version}" if version else f"{name} missing" for name, version in versions.items())
        lines.append(f"{extra:<10} {found}")
    for model in findings["models"]:
        lines.append(f"model      {model['name']}: {model['labels']} CWEs, verified, sha256 {model['digest']}")
        if scores := model["development"]:
            lines.append(
                f"           development split {scores['from']} to {scores['until']}, n={scores['n']:,}: "
                f"top-1 {scores['top1']:.3f}, top-3 {scores['top3']:.3f}"
            )
            lines.append(f"           calibration error {scores['expected_calibration_error_15_bins']:.3f} (15 bins)")
    lines += [f"model      {name}: {fix}" for name, fix in findings["not_installed"].items()]
    if cwe := findings["cwe"]:
        lines.append(f"CWE        {cwe['version']} of {cwe['date']}, sha256 {cwe['digest']}")
        lines.append(f"           {cwe['path']}")
    lines.append(f"user data  {findings['user_data']}")
    lines += [f"PROBLEM    {problem}" for problem in findings["problems"]] or ["all well"]
    return "\n".join(lines)


def _versions(packages: tuple[str, ...]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found
