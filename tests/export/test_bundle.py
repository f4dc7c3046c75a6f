"""Bundles: whatever is changed, added or taken away is found; nothing that can carry code goes in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ctiforge.core.errors import InputError, ModelError

pytest.importorskip("torch")
from ctiforge.export.bundle import SIGNATURE_NAMESPACE, render_modelfile, run_bundle, verify_bundle


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "manifest.json", "tokenizer.json"):
        (folder / name).write_text(name, "utf-8")
    return folder


@pytest.fixture
def bundle(model: Path, tmp_path: Path) -> Path:
    (tmp_path / "card.md").write_text("# A card", "utf-8")
    (tmp_path / "LICENSE").write_text("terms", "utf-8")
    (tmp_path / "tiny-Q8_0.gguf").write_bytes(b"GGUF")
    parts = [model, tmp_path / "tiny-Q8_0.gguf"]
    template = "<start_of_turn>user\n<end_of_turn>"
    return run_bundle(
        parts, tmp_path / "bundle", card=tmp_path / "card.md", licences=[tmp_path / "LICENSE"], chat_template=template
    )


def test_a_bundle_has_everything_and_is_as_it_was(bundle: Path) -> None:
    names = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert names == {
        "README.md", "Modelfile", "SHA256SUMS", "bundle.json", "config.json", "licences/LICENSE", "model-manifest.json",
        "model.safetensors", "tiny-Q8_0.gguf", "tokenizer.json",
    }  # fmt: skip
    found = verify_bundle(bundle)
    assert found.files == 9
    assert not found.signed
    done = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=bundle, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [("byte", "config.json: changed"), ("extra", "evil.txt: not listed"), ("gone", "tokenizer.json: missing"),
     ("pickle", "a form that can carry code"), ("link", "a link, which may lead anywhere"),
     ("escape", "not a checksum of a file"),
     ("sums", "no such file")],
)  # fmt: skip
def test_every_change_is_found(bundle: Path, change: str, words: str) -> None:
    if change == "byte":
        (bundle / "config.json").write_text("config.jsoN", "utf-8")
    elif change == "extra":
        (bundle / "evil.txt").touch()
    elif change == "gone":
        (bundle / "tokenizer.json").unlink()
    elif change == "pickle":
        (bundle / "weights.bin").touch()
    elif change == "link":
        (bundle / "link").symlink_to("/etc/hostname")
    elif change == "escape":
        with (bundle / "SHA256SUMS").open("a", encoding="utf-8") as stream:
            stream.write(f"{'0' * 64}  ../outside\n")
    else:
        (bundle / "SHA256SUMS").unlink()
    with pytest.raises((ModelError, InputError), match=words if change != "sums" else "SHA256SUMS"):
        verify_bundle(bundle)


def test_a_part_that_can_carry_code_is_not_bundled(model: Path, tmp_path: Path) -> None:
    (model / "training_args.bin").touch()
    with pytest.raises(ModelError, match="not bundled"):
        run_bundle([model], tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(InputError, match="there is no such file"):
        run_bundle([tmp_path / "nowhere"], tmp_path / "bundle")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH's client is not installed")
def test_a_signature_names_its_signer_and_covers_every_file(model: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    folder = run_bundle([model], tmp_path / "bundle", sign_key=key)
    signers = tmp_path / "signers"
    signers.write_text(f"maker@example.org {key.with_suffix('.pub').read_text('utf-8')}", "utf-8")
    assert verify_bundle(folder, signers=signers).signer == "maker@example.org"
    assert SIGNATURE_NAMESPACE == "ctiforge-bundle"
    sums = (folder / "SHA256SUMS").read_text("utf-8")
    (folder / "config.json").write_text("other", "utf-8")
    from ctiforge.core.files import file_sha256

    changed = [
        f"{file_sha256(folder / 'config.json')}  config.json" if line.endswith("  config.json") else line
        for line in sums.splitlines()
    ]
    (folder / "SHA256SUMS").write_text("\n".join(changed) + "\n", "utf-8")
    with pytest.raises(ModelError, match="verify the signature"):
        verify_bundle(folder, signers=signers)
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    signers.write_text(f"other@example.org {other.with_suffix('.pub').read_text('utf-8')}", "utf-8")
    with pytest.raises(ModelError, match="know the signer"):
        verify_bundle(folder, signers=signers)


def test_the_modelfile_has_the_turns_of_the_template() -> None:
    text = render_modelfile(["m-Q8_0.gguf", "m-Q4_K_M.gguf"], "<|im_start|>x<|im_end|>")
    assert text.startswith("FROM ./m-Q4_K_M.gguf\n# FROM ./m-Q8_0.gguf\n")
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert "TEMPLATE" not in render_modelfile(["m.gguf"], "")
