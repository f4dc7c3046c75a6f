from __future__ import annotations

from dataclasses import replace

import pytest

from ctiforge.bench.extract import RULES
from ctiforge.bench.protocol import PROTOCOLS, Protocol, customize, find_protocol
from ctiforge.core.errors import SettingError


def test_the_protocol_of_the_foundation_sec_report() -> None:
    protocol = find_protocol("foundation-sec-ift")
    assert (protocol.style, protocol.shots, protocol.temperature) == ("chat", 0, 0.3)
    assert (protocol.max_tokens, protocol.trials, protocol.concurrency) == (512, 5, 32)
    base = find_protocol("foundation-sec-base")
    assert (base.style, base.shots, base.temperature, base.trials) == ("completion", 5, 0.3, 5)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda each: each.name)
def test_every_protocol_names_rules_that_exist(protocol: Protocol) -> None:
    for kind, rule in protocol.rules.items():
        assert kind in RULES[rule].kinds


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("foundation-sec-ift", "2ec66a2c8c0f"),
        ("foundation-sec-base", "cb3d75a200d5"),
        ("greedy", "98f0a79b33f4"),
        ("faith", "d509b3dc494f"),
        ("choice-logprob", "65c5f3995a36"),
    ],
)
def test_the_digests_are_frozen(name: str, digest: str) -> None:
    assert find_protocol(name).digest[:12] == digest, "a changed protocol needs a new version, and then a new digest here"


def test_no_two_protocols_share_a_digest() -> None:
    assert len({protocol.digest for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)


def test_a_changed_setting_makes_it_custom_and_an_equal_one_does_not() -> None:
    protocol = find_protocol("foundation-sec-ift")
    assert customize(protocol, {"trials": 5, "temperature": None}) is protocol
    changed = customize(protocol, {"trials": 2})
    assert changed.custom
    assert changed.trials == 2
    assert changed.digest != protocol.digest
    # A server that batches may answer otherwise under another load.
    assert customize(protocol, {"concurrency": 4}).custom


def test_going_back_does_not_undo_custom() -> None:
    protocol = find_protocol("greedy")
    assert customize(customize(protocol, {"trials": 2}), {"trials": 1}).custom


@pytest.mark.parametrize("change", [{"trials": 0}, {"max_tokens": 0}, {"concurrency": 0}, {"temperature": -0.1}, {"shots": -1}])
def test_a_value_out_of_range(change: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=next(iter(change))):
        customize(find_protocol("greedy"), change)


def test_an_unknown_protocol_gets_a_suggestion() -> None:
    with pytest.raises(SettingError, match="no protocol") as caught:
        find_protocol("foundation-sec-itf")
    assert "foundation-sec-ift" in str(caught.value.fix)


def test_seeds_differ_by_item_trial_rotation_and_protocol_seed() -> None:
    protocol = find_protocol("foundation-sec-ift")
    keys = [("a/0001", 0, 0), ("a/0001", 1, 0), ("a/0001", 0, 1), ("a/0002", 0, 0), ("b/0001", 0, 0)]
    seeds = [protocol.request_seed(*key) for key in keys]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seeds[0] == protocol.request_seed("a/0001", 0)
    assert replace(protocol, seed=1).request_seed("a/0001", 0) != seeds[0]
