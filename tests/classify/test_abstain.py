from __future__ import annotations

import pytest

from ctiforge.classify.abstain import is_unspecified, is_vague, looks_english


@pytest.mark.parametrize(
    "text",
    [
        "A flaw in the parser of Example Reader before 2.0 allows remote attackers to execute arbitrary code.",
        "Stored XSS in Foo 1.2",
        "",
        "CVE-2099-0001",
    ],
)
def test_english_and_short_texts_pass(text: str) -> None:
    assert looks_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Una vulnerabilidad de inyección de comandos permite ejecutar código arbitrario mediante parámetros manipulados",
        "示例软件的登录页面存在安全漏洞，远程攻击者可利用该漏洞执行任意代码。",
        "Dépassement de tampon lors du traitement des paquets réseau permettant une exécution de code arbitraire",
    ],
)
def test_other_languages_do_not(text: str) -> None:
    assert not looks_english(text)


@pytest.mark.parametrize(
    ("text", "vague"),
    [
        ("Unspecified vulnerability in Example Server allows attackers to affect integrity via unknown vectors.", True),
        ("Details were not disclosed by the vendor.", True),
        ("SQL injection via the id parameter.", False),
    ],
)
def test_vague_texts(text: str, vague: bool) -> None:
    assert is_vague(text) is vague


@pytest.mark.parametrize(
    ("text", "unspecified"),
    [
        ("Unspecified vulnerability in Ferrule Suite before 12.0.3 has unknown impact and attack vectors.", True),
        ("Multiple unspecified vulnerabilities in Ferrule Suite.", True),
        ("An unknown vulnerability in Ferrule Suite.", True),
        ("A buffer overflow in Ferrule Suite allows attackers to have an unspecified impact via unknown vectors.", False),
        ("", False),
    ],
)
def test_a_vulnerability_that_is_unspecified_as_a_whole(text: str, unspecified: bool) -> None:
    assert is_unspecified(text) is unspecified
