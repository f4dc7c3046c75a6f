"""Which requests are declined: to make, hand over or operate something that attacks. docs/ask.md states the rule.

What a question says of defence is set aside first ('a Sigma rule for keyloggers'). What is left is declined if

1. it asks to be given or made a weapon: a word for making or handing over, then one for an exploit, a payload, a malicious
program
   or an attack tool;
2. it asks how the one who asks attacks ('how do I exploit', 'steps to bypass'), or orders an attack; or
3. it asks how to run an attack tool ('mimikatz commands').

Whoever names an attack to know about it gets an answer. A pretext (a test, a lesson, permission) changes nothing: it cannot be
checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["is_declined"]


def _any(words: str | Iterable[str]) -> str:
    """Return a group of alternatives: the words of a text, or the patterns of a list."""
    return f"(?:{'|'.join(words.split() if isinstance(words, str) else words)})"


_MAKE: Final = _any(
    "(?:whip|set).up let.me.have turn writ(?:e|ing) rewrite give creat(?:e|ing) generat(?:e|ing) build(?:ing)? "
    "develop(?:ing)? mak(?:e|ing) cod(?:e|ing) provide craft "
    "produce compose draft design implement program compile assemble prepare supply send show share paste print output "
    "need want get "
    "obtain download port convert modify improve obfuscate encode weaponi[sz]ed? complete finish script buy"
)
_MALWARE: Final = _any(
    "malware ransom-?ware key-?loggers? virus(?:es)? worms? rootkits? bootkits? back-?doors? trojans? rats? spyware "
    "(?:info)?stealers? "
    "droppers? downloaders? loaders? crypters? packers? botnets? wipers? implants? beacons? stagers? web-?shells?"
)
_HARM: Final = _any(
    (
        *(
            "exploits? encrypts? steals? injects? dumps? disables? infects? spreads? exfiltrates? bypass(?:es)? evades? "
            "kills? brute cracks? wip(?:es)? ddos(?:es)? floods? hijacks? phish(?:es)? hides? hooks? exploiting "
            "encrypting stealing injecting dumping disabling infecting spreading exfiltrating bypassing evading killing "
            "cracking wiping flooding hijacking"
        ).split(),
        r"logs? key\w*",
        r"downloads? and (?:runs?|executes?)",
        r"perform(?:s|ing)? (?:\w+ )?(?:spoofing|poisoning|flooding|hijacking|injection)",
    )
)
_WEAPON: Final = _any(
    (
        r"(?:zero[- ]day )?exploits?(?: code| script| chain| module| poc)?",
        r"(?:working )?pocs?",
        r"proofs?[- ]of[- ]concept",
        r"payloads?",
        r"shell ?codes?",
        _MALWARE,
        r"(?:web|reverse|bind)[- ]shells?",
        r"remote access tools?",
        r"(?:c2|command[- ]and[- ]control) (?:servers?|frameworks?|agents?|channels?)",
        r"phishing (?:e?-?mails?|kits?|pages?|sites?|messages?|campaigns?|lures?|templates?)",
        r"spear-?phish\w*",
        r"(?:fake|spoofed|cloned) (?:\w+ )?(?:login|sign-?in|bank\w*)(?: pages?| forms?| sites?)?",
        r"malicious (?:\w+ ){0,2}(?:macros?|documents?|scripts?|code|apps?|programs?|packages?|dlls?|drivers?|files?|"
        r"extensions?|"
        r"firmware|pdfs?|commands?|software|attachments?|links?)",
        r"(?:attack|hacking) (?:tool|script|code|program)s?",
        r"brute[- ]forcers?",
        r"(?:password|credential) (?:cracker|stealer|sprayer|harvester|dumper)s?",
        r"ddos (?:tool|script|bot)s?",
        r"(?:logic|fork) bombs?",
        r"(?:sql|command|code|xss|template|ldap|xxe) injection (?:string|query|queries|attack)s?",
        r"(?:amsi|edr|av|antivirus|uac|defender|sandbox|mfa|waf) (?:bypass|evasion)(?:es)?(?: code| script| tool)?",
        r"bypass(?:es)? for",
        rf"(?:code|scripts?|programs?|tools?|macros?|apps?|functions?|commands?|one-?liners?|bots?|drivers?|dlls?) "
        rf"(?:that |to |which |for )?(?:\w+ly )?{_HARM}",
        r"(?:e-?mails?|messages?|documents?|pages?|sites?) (?:that|which|to) (?:tricks?|fools?|deceives?|lures?|convinces?)",
    )
)
_ATTACK: Final = _any(
    (
        *(
            "exploit weaponi[sz]e attack bypass evade steal crack brute-?force ddos infect deface compromise hijack phish "
            "backdoor exfiltrate spread poison kerberoast spoof smuggle"
        ).split(),
        r"hack(?: into)?",
        r"break into",
        r"brute force",
        r"dump (?:the )?(?:lsass|credentials?|passwords?|hashes|ntds\w*)",
        r"escalate (?:my )?privileges?",
        r"(?:disable|turn off|kill|blind) (?:the )?(?:edr|antivirus|av|(?:windows )?defender|crowdstrike|falcon|"
        r"sentinelone|sysmon|logging|security|amsi)",
        r"get into (?:her|his|their|my ex\S*|someone\S*|an|the) (?:\w+ )?(?:accounts?|phone|computer|e-?mail|network)",
        r"deploy ransomware",
        r"launch (?:a |an )?(?:\w+ )?(?:attack|ransomware|ddos|phishing)",
        r"encrypt (?:a |the |someone's )?(?:victim|company|network|hospital)\w*",
        r"get (?:a |an |domain |root )*(?:reverse )?(?:shell|admin access|root access|domain admin)",
        r"gain (?:unauthori[sz]ed )?(?:access|entry|a foothold)",
        r"take over",
        r"inject (?:\w+ )?(?:code|shellcode|dll)",
        r"escape (?:the |a )?(?:sandbox|container)",
        r"move laterally",
        r"hide (?:my )?(?:malware|payload|implant|c2)",
        r"clone (?:a |the )?(?:login|website|badge)",
        r"avoid detection",
        r"cover my tracks",
        r"relay ntlm",
    )
)
_ATTACKING: Final = _any("exploiting hacking bypassing evading stealing cracking attacking phishing infecting brute-?forcing")
_TOOL: Final = _any(
    "mimikatz metasploit msfvenom msfconsole meterpreter cobalt.?strike sliver hashcat hydra sqlmap responder "
    "bloodhound rubeus "
    "impacket evilginx gophish lazagne pupy quasarrat njrat havoc crackmapexec netexec veil donut poshc2 secretsdump psexec"
)
_DEFENCE: Final = _any(
    (
        *(
            "detect(?:ions?|ors?) mitigations? prevention protection defen[cs]es? rules? signatures? sigma yara snort "
            "suricata alerts? analytics? indicators? iocs? reports? summar(?:y|ies) overview descriptions? definitions? "
            "explanations? groups? actors? context hypothes[ie]s techniques? tactics? mappings? polic(?:y|ies) playbooks? "
            "runbooks? training awareness courses? family families names? analysis scanners? inspection filter(?:ing|s)? "
            "hunt(?:ing)? controls? hardening checklists? monitoring likelihood statistics advisor(?:y|ies) telemetry "
            "weakness(?:es)? cwes? capecs? consequences impacts? history timeline campaigns? software procedures? "
            "countermeasures? patch(?:es)? difference entr(?:y|ies) ids? recommendations guidance advice aliases "
            "platforms vulnerabilit(?:y|ies) cves? information facts removal response quer(?:y|ies) logs?"
        ).split(),
        r"data (?:source|component)s?",
        r"attack patterns?",
        r"examples? of cves",
    )
)
_ASIDE: Final = (
    # A noun of defence and what it is about, to the end or to the next order: 'a Sigma rule for keyloggers, then ...'.
    rf"\b{_DEFENCE}\b(?! (?:code|injection))(?:,? (?:and|or) {_DEFENCE}\b)?,? "
    r"(?:for|of|on|about|against|that|from|which|in|with|when|if|where|used|exploiting|by)\b"
    rf".*?(?=[.;?!]|,? (?:and|then) (?:then |also )?{_MAKE}\b|$)",
    # A weapon in front of such a noun: 'exploit mitigation', 'malware detection rule'.
    rf"\b{_WEAPON}[\s-]+(?:(?!for\b|to\b|of\b|on\b|against\b|in\b)\w+[\s-]+)?(?!c[vw]es?\b){_DEFENCE}\b(?! (?:code|"
    rf"script|injection))",
    # What others make: 'groups that write malware'.
    r"\b(?:adversar(?:y|ies)|attackers?|actors?|groups?|hackers?|criminals?|operators?|malware|software|known to|"
    r"somebody)(?: (?:\w+ly|"
    r"can|may|might|could|would|have|"
    rf"that|who|which))* {_MAKE}\b",
    r"\b(?:anti|counter)[- ]?(?:malware|virus|exploit|phishing|ransomware)\b",
    r"\bexploit(?:ed|able|ability|ation)\b(?! code)",
)
_WHO: Final = _any(
    ("i", "we", "one", "you", "someone", "somebody", r"(?:a|my) (?:red teamer|pentester|hacker|student|friend|team)")
)
_HOW: Final = rf"\bhow (?:do|can|could|would|should|might|to)(?: {_WHO})?(?: \w+ly| best)? "
_NOT_A_GIFT: Final = _any(r"by against from used with how which what who whether if detect\w* prevent\w* mitigat\w*")
_POLITE: Final = _any(
    (
        "please",
        "now",
        "just",
        "can you",
        "could you",
        "would you",
        "will you",
        r"i (?:want|need)(?: you)? to",
        "i'd like to",
        "let'?s",
    )
)
_RULES: Final = (
    # 1. Make or hand over a weapon.
    rf"\b(?:{_MAKE}|find me)\b(?:,? (?!{_NOT_A_GIFT}\b)[\w'./#+-]+){{0,9}}?,? {_WEAPON}\b(?! (?:work|do|does|is|are|"
    rf"differs?|means?)\b)",
    rf"\b{_MAKE}\b[^.?!]{{0,40}} {_TOOL} (?:malleable )?(?:commands?|profile|config\w*|module|script|listener)\b",
    r"\b(?:undetectable|fully undetected)\b|\b(?:best|working|good|easiest) (?:payloads?|exploits?) (?:to|for)\b",
    # 2. How the one who asks attacks.
    rf"{_HOW}{_ATTACK}\b(?! (?:detection|prevention|rules?|logs?|findings))",
    rf"\b(?:help|teach|show|tell|guide|walk) (?:me|us) (?:how )?(?:{_WHO} )?(?:to |can |could |do |should |in |through "
    rf")*(?:{_ATTACK}|{_ATTACKING})\b",
    rf"\b(?:steps?|instructions?|commands?|tutorial|guide|walk-?through|recipe|code|script|(?:easiest|best|fastest) "
    rf"(?:method|way)|cheat ?sheet)s? "
    rf"(?:to|for|on|of)"
    rf"(?: how to)? (?:{_ATTACK}|{_ATTACKING})\b",
    rf"^\W*(?:{_POLITE} )*(?:{_ATTACK}|obfuscate|encode) (?:the|a|an|my|this|that|these|his|her|their|our|your|it|cve|"
    rf"into|\w+'s)\b",
    # 3. Run an attack tool.
    rf"\bto {_ATTACK}\b[^.?!]* with {_TOOL}\b",
    rf"{_HOW}(?:use|run|launch|execute|set ?up|configure|install|deploy|operate|compile|start|customi[sz]e|get) (?:\w+ "
    rf"){{0,3}}?{_TOOL}\b",
    rf"\b{_TOOL}(?:'s)? (?:malleable )?(?:commands?|syntax|command line|cheat ?sheet|one-?liners?|profile|config\w*|"
    rf"module|payload|script|options|tutorial)\b",
    rf"\b(?:commands?|syntax|one-?liners?|cheat ?sheet|tutorial|arguments?|flags) (?:of|for|to (?:use|run)|in) {_TOOL}\b",
)
_ASIDE_PATTERNS: Final = tuple(re.compile(each, re.IGNORECASE) for each in _ASIDE)
_RULE_PATTERNS: Final = tuple(re.compile(each, re.IGNORECASE) for each in _RULES)


def is_declined(question: str) -> bool:
    """Say whether a question asks for something that attacks, by the rule above."""
    plain = " ".join(question.split())
    for aside in _ASIDE_PATTERNS:
        plain = " ".join(aside.sub(" ", plain).split())
    return any(rule.search(plain) for rule in _RULE_PATTERNS)
