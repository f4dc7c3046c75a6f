"""The rules of the design that a reviewer would otherwise have to watch: who imports whom, what is light, what stays out."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src"
PACKAGE = SRC / "ctiforge"
MODULES = sorted(PACKAGE.rglob("*.py"))

STAGES = ("corpus", "train", "export", "bench", "classify", "ask", "triage")
# What each folder may import besides itself. Stages meet through files on disk, so none is in another's list, but for the
# two that exist to build on others.
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "sources": {"core"},
    "models": {"core"},
    "recipes": {"core"},
    "__main__": {"cli"},
    **{stage: {"core", "sources", "models", "recipes"} for stage in STAGES},
    "cli": {"core", "sources", "models", "recipes", *STAGES, "serve", ""},
}
MAY_IMPORT["triage"] = MAY_IMPORT["triage"] | {"classify"}
MAY_IMPORT["serve"] = {"core", "sources", "models", "recipes", "classify", "ask", "triage"}

# Packages that cost memory or start-up time, or that the light core does not have.
HEAVY = (
    "accelerate", "cwe2", "datasets", "fastapi", "joblib", "mcp", "onnx", "onnxruntime", "pandas", "peft", "prometheus_client",
    "pydantic", "ray", "requests", "scipy", "sklearn", "sqlalchemy", "starlette", "tokenizers", "torch", "transformers", "trl",
    "uvicorn", "yaml",
)  # fmt: skip
CORE_PACKAGES = {"numpy", "orjson", "Stemmer", "rich", "typer", "zstandard"}
TRAIN_FOLDERS = {"train", "recipes", "corpus", "export"}
OWN_PACKAGES = {
    "triage": {"sqlalchemy", "pydantic"},
    "serve": {"fastapi", "jinja2", "starlette", "pydantic", "prometheus_client", "uvicorn", "mcp", "sqlalchemy"},
}
"""Folders that no other command needs, and that would be in knots without a package of their own."""


def name_of(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def folder_of(module: str) -> str:
    """``ctiforge.sources.cwe`` -> ``sources``; the root module -> empty."""
    return [*module.split("."), ""][1]


def imports_of(source: str, module: str, is_package: bool) -> Iterator[str]:
    """Every module that `source` imports, wherever in it the import stands; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                package = package[: len(package) - (node.level - 1)]
                base = ".".join([*package, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def forbidden_imports(source: str, module: str, is_package: bool = False) -> list[str]:
    own = folder_of(module)
    found = []
    for imported in imports_of(source, module, is_package):
        if imported.split(".")[0] != "ctiforge":
            continue
        folder = folder_of(imported)
        if folder == "__version__" or folder == own:
            continue
        # The root module is the public door: it may reach everything but the command line, which alone may come in by it.
        if own == "":
            if folder == "cli":
                found.append(imported)
        elif folder not in MAY_IMPORT.get(own, set()):
            found.append(imported)
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    assert forbidden_imports(path.read_text(), name_of(path), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ctiforge.core.files", "from ctiforge.sources import cwe"),
        ("ctiforge.sources.cwe", "def f():\n    import ctiforge.classify.prediction"),
        ("ctiforge.train.examples", "from ctiforge.classify.prediction import Prediction"),
        ("ctiforge.classify.evidence", "from ..train import examples"),
        ("ctiforge.classify.evidence", "from .. import cli"),
        ("ctiforge.serve.api", "from ctiforge.train import recipe"),
        ("ctiforge.triage.queue", "from ctiforge.ask import answers"),
        ("ctiforge", "from ctiforge.cli import main"),
    ],
)
def test_the_guard_sees_a_wrong_import(module: str, source: str) -> None:
    assert len(forbidden_imports(source, module, module == "ctiforge")) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ctiforge.triage.queue", "from ctiforge.classify import Classifier"),
        ("ctiforge.serve.api", "from ..triage import queue"),
        ("ctiforge.cli.classify", "from ctiforge import __version__"),
        ("ctiforge.models.linear", "from .text_features import features"),
    ],
)
def test_the_guard_lets_right_imports_pass(module: str, source: str) -> None:
    assert forbidden_imports(source, module) == []


def test_every_folder_has_its_place_in_the_layers() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", [path for path in MODULES if folder_of(name_of(path)) not in TRAIN_FOLDERS], ids=name_of)
def test_the_light_core_needs_only_its_own_packages(path: Path) -> None:
    """Outside the training folders, a package that the core does not install may be imported in a function only."""
    own = OWN_PACKAGES.get(folder_of(name_of(path)), set())
    outermost = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {each.split(".")[0] for node in outermost for each in imports_of(ast.unparse(node), name_of(path), False)}
    assert names - set(sys.stdlib_module_names) - CORE_PACKAGES - own - {"ctiforge"} == set()


@pytest.mark.parametrize("statement", ["import ctiforge", "import ctiforge.cli", "import ctiforge.classify.outputs"])
def test_start_up_loads_nothing_heavy(statement: str) -> None:
    if "cli" in statement and not (PACKAGE / "cli" / "__init__.py").exists():
        pytest.skip("there is no command line yet")
    code = f"import sys; {statement}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert child.returncode == 0, child.stderr
    assert set(child.stdout.split()) & set(HEAVY) == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is_and_what_it_offers(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "no docstring"
    public = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not any(
            re.search(r"\.(command|callback|get|post)\(", ast.unparse(each)) for each in node.decorator_list
        )  # offered by it
    ]
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    if path.name == "__init__.py" and not public and not imports:
        return  # a folder's docstring, nothing to offer
    declared = [
        [element.value for element in node.value.elts if isinstance(element, ast.Constant)]
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.List | ast.Tuple)
        and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
    ]
    assert len(declared) == 1, "no __all__"
    assert [name for name in public if name not in declared[0]] == [], "public by name, but not in __all__"


def test_no_module_is_a_drawer() -> None:
    assert [name_of(path) for path in MODULES if path.stem in {"utils", "util", "helpers", "helper", "common", "misc"}] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_source_file_holds_two_ideas(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def tracked_files() -> list[Path]:
    """The files of the repository; in an unpacked source distribution, which has no git, everything that came with it."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    folders = ("src", "tests", "docs", "examples", "benchmarks", ".ci")
    return [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]


# Written in two halves, so that this file does not find itself.
MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(?:work|farm|workspace|builds|" + r"home/[a-z][\w.-]*|Users/\w[\w.-]*)/[\w.-]")
PACKAGE_HOST = re.compile("|".join(("files\\.python" + "hosted", "index" + "-url", "pypi\\.org/" + "simple", "/opt/" + "pypi")))


def test_no_tracked_file_names_a_machine_or_a_package_host() -> None:
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if MACHINE_PATH.search(line) or PACKAGE_HOST.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert found == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("cd /" + "work/main", True),
        ("see /" + "home/jane/notes.txt", True),
        ("from '/" + "Users/jane/x'", True),
        ("https://example.org/work/main", False),
        ("src/work/main", False),
        ("~/" + "work/notes", False),
    ],
)
def test_the_path_guard_knows_a_machine_path(line: str, wrong: bool) -> None:
    assert bool(MACHINE_PATH.search(line)) is wrong


def test_constraints_carry_versions_and_no_addresses() -> None:
    path = ROOT / "constraints.txt"
    assert [line for line in path.read_text().splitlines() if not re.fullmatch(r"[\w.-]+==[\w.!+]+", line)] == []
