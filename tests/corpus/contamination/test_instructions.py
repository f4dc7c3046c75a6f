from __future__ import annotations

from ctiforge.corpus.contamination.instructions import Instructions, find_instructions, split_answer

ASK = "Map the following description to a CWE. Answer with the ID only. CVE Description:"
ASK_OTHERWISE = "You are an analyst who names root causes. Read this: "


def test_the_shared_beginning_is_found_and_taken_off() -> None:
    prompts = [f"{ASK} A flaw of kind {number} in product {number} lets users do thing {number}." for number in range(40)]
    found = find_instructions(prompts)
    assert [" ".join(prefix) for prefix in found.prefixes] == [ASK]
    assert found.shares == (1.0,)
    assert found.remove_from(prompts[3]) == "A flaw of kind 3 in product 3 lets users do thing 3."


def test_several_instructions_and_ends_are_found() -> None:
    prompts = [f"{ASK} first kind number {number} of text" for number in range(30)]
    prompts += [f"{ASK_OTHERWISE}second kind {number} stands here.\n\nReply with one letter, no words." for number in range(30)]
    found = find_instructions(prompts)
    assert found.remove_from(prompts[0]) == "first kind number 0 of text"
    assert found.remove_from(prompts[-1]) == "second kind 29 stands here."


def test_what_a_few_prompts_share_is_no_instruction() -> None:
    prompts = [f"text {number} begins and goes on in its own way {number}" for number in range(50)]
    prompts += ["In the example kernel, a flaw was fixed: leak", "In the example kernel, a flaw was fixed: race"]
    assert find_instructions(prompts) == Instructions()
    assert find_instructions([]) == Instructions()


def test_a_separator_ends_an_instruction_that_nobody_shares() -> None:
    assert Instructions().remove_from("Please look at it. CVE Description: A flaw in the parser") == "A flaw in the parser"
    assert Instructions().remove_from("**Question:** Which tactic is it?") == "Which tactic is it?"
    assert Instructions().remove_from("The Input: field") == "The Input: field"


def test_a_text_that_is_nothing_but_instruction_stays() -> None:
    found = find_instructions([f"{ASK} own words {number} here" for number in range(20)])
    assert found.remove_from(ASK) == ASK


def test_conversations_in_one_text_are_split() -> None:
    text = "<|im_start|>user\nWhich CWE?<|im_end|>\n<|im_start|>assistant\nCWE-79<|im_end|>"
    assert split_answer(text) == ("user\nWhich CWE?", "CWE-79")
    assert split_answer("### Instruction:\nWhich?\n\n### Response:\nCWE-79") == ("### Instruction:\nWhich?", "CWE-79")
    assert split_answer("just a text") == ("just a text", "")
