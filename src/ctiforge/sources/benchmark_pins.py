"""What published benchmark files are, byte for byte: the one table of their SHA-256 digests."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["BENCHMARK_PINS"]

BENCHMARK_PINS: Final[Mapping[str, str]] = MappingProxyType({
    "cti-ate.tsv": "79e5354a5c6aae0c979389786853e768201f8d129fb0f0ca5af392555f238f28",
    "cti-mcq.tsv": "11e0af8db2dae9706c6e79901d2390bcdf9746e8feccbd9ba10682df649bcc6a",
    "cti-rcm-2021.tsv": "a1fc5348b4bc181778dd98055f267b584755215580dd8a18896134e2670d43d3",
    "cti-rcm.tsv": "ed7d7fa79fc912c627f96e229eaa38b3c4b6be813d834d434580be6d4703d700",
    "cti-taa.tsv": "2f14c3209ea83bd9e7bc456e336d10a78870cfe2b9b4dc3f86ea50621d6f6321",
    "cti-vsp.tsv": "43d4ceefe042236a7d0885cb8506bf6537426cf2359eddb2450dd151864a498b",
})  # fmt: skip
"""File name to digest: CTI-Bench (https://huggingface.co/datasets/AI4Sec/cti-bench), as of 2024."""
