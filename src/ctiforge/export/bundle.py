"""A bundle: everything that is needed to run a model elsewhere, in one folder that proves that nothing in it was changed.

``SHA256SUMS`` has the form that ``sha256sum --check`` reads. A signature is one of OpenSSH's (``ssh-keygen -Y sign``), so
that keys which people have already, on hardware too, can be used and no key handling is written here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctiforge.core.errors import InputError, ModelError
from ctiforge.core.files import file_sha256, write_json, write_text
from ctiforge.core.manifest import git_revision, package_versions
from ctiforge.export.model_folder import new_folder

__all__ = ["SIGNATURE_NAMESPACE", "SUMS", "Verified", "render_modelfile", "run_bundle", "verify_bundle"]

SUMS = "SHA256SUMS"
SIGNATURE_NAMESPACE = "ctiforge-bundle"
_SIGNATURE = f"{SUMS}.sig"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy")
_TURNS = {
    "<end_of_turn>": ("<start_of_turn>user\n{{ .System }}{{ .Prompt }}<end_of_turn>\n<start_of_turn>model\n", "<end_of_turn>"),
    "<|im_end|>": (
        "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}"
        "<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n",
        "<|im_end|>",
    ),
}


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check found.

    Attributes:
        signer: who signed, None if nobody did or nobody was asked for.
    """

    files: int
    size: int
    signed: bool
    signer: str | None


def run_bundle(
    parts: Sequence[Path],
    out: Path,
    *,
    card: Path | None = None,
    licences: Sequence[Path] = (),
    chat_template: str = "",
    sign_key: Path | None = None,
) -> Path:
    """Copy model folders and files into one folder with card, licences, Modelfile, manifest and checksums.

    Args:
        parts: folders (their files) or single files: a merged model, GGUF files, an adapter.
        chat_template: text of the model's template, for the Modelfile.
        sign_key: private key for ``ssh-keygen -Y sign``.

    Raises:
        InputError: a part is missing, two have a file of one name, or the disk is full.
        ModelError: a file is in a form that can carry code, or signing fails.
    """
    with new_folder(out) as part:
        for source in parts:
            _copy(source, part)
        for licence in licences:
            _copy(licence, part / "licences")
        if card is not None:
            _copy(card, part, "README.md")
        weights = sorted(part.glob("*.gguf"))
        if weights:
            write_text(part / "Modelfile", render_modelfile([each.name for each in weights], chat_template))
        files = {str(file.relative_to(part)): file.stat().st_size for file in _files(part)}
        words = {"kind": "bundle", "files": files, "versions": package_versions(("ctiforge",)), "git_revision": git_revision()}
        write_json(part / "bundle.json", words)
        lines = [f"{file_sha256(file)}  {file.relative_to(part)}\n" for file in _files(part)]
        write_text(part / SUMS, "".join(lines))
        if sign_key is not None:
            _ssh_keygen(["-Y", "sign", "-f", str(sign_key), "-n", SIGNATURE_NAMESPACE, str(part / SUMS)], "sign the bundle")
    return out


def render_modelfile(weights: Iterable[str], chat_template: str) -> str:
    """Return a Modelfile for Ollama: the smallest precision first in use, the others as comments."""
    names = sorted(weights, key=lambda name: ("Q4" not in name, name))
    lines = [f"FROM ./{names[0]}"] + [f"# FROM ./{name}" for name in names[1:]]
    for mark, (template, stop) in _TURNS.items():
        if mark in chat_template:
            lines += [f'TEMPLATE """{template}"""', f'PARAMETER stop "{stop}"']
    return "\n".join([*lines, "PARAMETER temperature 0.3", "PARAMETER num_ctx 4096"]) + "\n"


def verify_bundle(folder: Path, *, signers: Path | None = None) -> Verified:
    """Check every file of a bundle, that there is no other, and the signature if there is a list of signers.

    Args:
        signers: OpenSSH's allowed_signers file; the signature must then be by one of them.

    Raises:
        ModelError: a file differs, is missing, is not listed or can carry code, or the signature is missing or wrong.
        InputError: it is no bundle.
    """
    file = folder / SUMS
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: {error}", fix="give a folder that `ctiforge bundle make` wrote") from None
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = re.fullmatch(r"([0-9a-f]{64})  (\S.*)", line)
        if match is None or Path(match[2]).is_absolute() or ".." in Path(match[2]).parts:
            raise ModelError(f"{file}, line {number}: not a checksum of a file in here", fix="fetch the bundle again")
        listed[match[2]] = match[1]
    faults = [f"{name}: missing" for name in listed if not (folder / name).is_file()]
    size = 0
    for path in _files(folder):
        name = str(path.relative_to(folder))
        if name in (SUMS, _SIGNATURE):
            continue
        size += path.stat().st_size
        if path.is_symlink():
            faults.append(f"{name}: a link, which may lead anywhere")
        elif name not in listed:
            faults.append(f"{name}: not listed")
        elif file_sha256(path) != listed[name]:
            faults.append(f"{name}: changed")
        if path.suffix in _PICKLES:
            faults.append(f"{name}: a form that can carry code")
    if faults:
        shown = "\n".join(f"  {fault}" for fault in faults[:20])
        raise ModelError(f"{folder} is not what was bundled: {len(faults)} fault(s)\n{shown}", fix="fetch the bundle again")
    signed = (folder / _SIGNATURE).is_file()
    return Verified(len(listed), size, signed, _verify_signature(folder, signers) if signers else None)


def _verify_signature(folder: Path, signers: Path) -> str:
    signature = folder / _SIGNATURE
    if not signature.is_file():
        raise ModelError(f"{folder} is not signed", fix="ask for a signed bundle, or verify without --signers")
    found = _ssh_keygen(["-Y", "find-principals", "-s", str(signature), "-f", str(signers)], "know the signer")
    name = found.strip().splitlines()[0]
    arguments = ["-Y", "verify", "-f", str(signers), "-I", name, "-n", SIGNATURE_NAMESPACE, "-s", str(signature)]
    _ssh_keygen(arguments, "verify the signature", (folder / SUMS).read_bytes())
    return name


def _ssh_keygen(arguments: list[str], what: str, stdin: bytes = b"") -> str:
    try:
        done = subprocess.run(["ssh-keygen", *arguments], input=stdin, capture_output=True, check=False)
    except FileNotFoundError:
        raise ModelError(f"cannot {what}: ssh-keygen is not installed", fix="install OpenSSH's client") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip() or done.stdout.decode("utf-8", "replace").strip()
        raise ModelError(f"cannot {what}: {said}", fix="check the key, and that the bundle is unchanged")
    return done.stdout.decode("utf-8", "replace")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def _copy(source: Path, folder: Path, name: str | None = None) -> None:
    if not source.exists():
        raise InputError(f"{source}: there is no such file or folder", fix="name what is to be bundled")
    folder.mkdir(parents=True, exist_ok=True)
    for file in _files(source) if source.is_dir() else [source]:
        if file.suffix in _PICKLES:
            raise ModelError(f"{file}: a form that can carry code is not bundled", fix="convert it to safetensors or GGUF")
        inner = file.relative_to(source) if source.is_dir() else Path(name or file.name)
        target = folder / ("model-manifest.json" if str(inner) == "manifest.json" else inner)
        if target.name == "model-manifest.json" and target.exists():
            target = target.with_name(f"{source.name}-manifest.json")
        if target.exists():
            raise InputError(f"{target.name}: two parts have a file of this name", fix="bundle them apart")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
