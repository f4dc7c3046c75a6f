"""The pages as a browser without scripts gets them: what they show, what they refuse, what they leave inert."""

from __future__ import annotations

import re
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctiforge.classify.classifier import load_model
from ctiforge.classify.similar_build import build_similar_index
from ctiforge.serve.keys import KeyRing
from ctiforge.sources.cwe import load_catalogue
from ctiforge.sources.read import read_raw_records
from ctiforge.triage import history, load_rules, open_store, rank, review, show

FEEDS = Path(__file__).resolve().parents[2] / "triage" / "invented_feeds.py"
invented = SimpleNamespace(**runpy.run_path(str(FEEDS)))


def test_whoever_is_not_signed_in_signs_in_first_and_comes_back(visitor: Any, keys: dict[str, str]) -> None:
    asked = visitor.get("/queue?kev=1")
    assert asked.url.path == "/sign-in"
    there = visitor.sign_in(keys["Ada"], next="/queue?kev=1")
    assert (there.status_code, str(there.url.path), there.url.query) == (200, "/queue", b"kev=1")
    assert "CVE-2099-10001" in there.text
    assert "CVE-2099-10002" not in there.text


@pytest.mark.parametrize("next_", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"])
def test_signing_in_leads_nowhere_else(visitor: Any, keys: dict[str, str], next_: str) -> None:
    there = visitor.sign_in(keys["Ada"], next=next_)
    assert str(there.url) == "http://127.0.0.1/queue"


@pytest.mark.parametrize("key", ["", "ctiforge_00000000_wrong", "Ada"])
def test_a_wrong_key_opens_nothing(visitor: Any, key: str) -> None:
    there = visitor.sign_in(key)
    assert there.status_code == 403
    assert "ctiforge_session" not in visitor.client.cookies


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(visitor: Any, keys: dict[str, str]) -> None:
    form = {"csrf": visitor.token("/sign-in"), "key": keys["Ada"]}
    reply = visitor.client.post("/sign-in", data=form, follow_redirects=False)
    cookie = next(value for value in reply.headers.get_list("set-cookie") if value.startswith("ctiforge_session="))
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert keys["Ada"] not in cookie


def test_a_withdrawn_key_ends_the_session(ada: Any, tmp_path: Path) -> None:
    KeyRing(tmp_path / "keys.json").revoke("Ada")
    assert ada.get("/queue").url.path == "/sign-in"


def test_signing_out_ends_it_on_this_side(ada: Any) -> None:
    cookie = ada.client.cookies["ctiforge_session"]
    ada.client.post("/sign-out", data={"csrf": ada.token("/queue")})
    ada.client.cookies.set("ctiforge_session", cookie)
    assert ada.get("/queue").url.path == "/sign-in"


def test_every_page_forbids_what_is_inline_and_foreign(looking: Any) -> None:
    for address in ("/queue", "/items/CVE-2099-10001", "/dashboards", "/drift", "/ask", "/reports", "/export", "/sign-in"):
        page = looking.get(address)
        assert page.status_code == 200, address
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert re.search(r'<script(?![^>]* src=)|<[^<>]*\s(on\w+|style)=|="(javascript:|https?:|//)', page.text) is None, (
            address
        )


@pytest.mark.parametrize(
    ("query", "there"),
    [
        ("kev=1", {"10001"}),
        ("conflict=parties", {"10002"}),
        ("discouraged=1", {"10002"}),
        ("abstained=1", {"10004"}),
        ("q=overflow", {"10003"}),
        ("q=no+such+word", set()),
        ("state=decided", set()),
        ("state=all&order=nonsense&page=0", {"10001", "10002", "10003", "10004", "10005"}),
    ],
)
def test_filters(looking: Any, query: str, there: set[str]) -> None:
    page = looking.get(f"/queue?{query}")
    assert page.status_code == 200
    assert set(re.findall(r"/items/CVE-2099-(\d+)", page.text)) == there


def test_a_state_that_is_none_is_told(looking: Any) -> None:
    page = looking.get("/queue?state=opn")
    assert page.status_code == 422
    assert "no state named" in page.text


def test_an_item_shows_text_with_evidence_parties_tree_and_history(looking: Any) -> None:
    page = looking.get("/items/CVE-2099-10002").text
    assert re.search(r'<mark data-ranks="[^"]*0[^"]*" class="on">', page)
    assert "differs from the model" in page
    assert "parties differ" in page
    assert re.search(r"CWE-707</b>.*CWE-74</b>.*CWE-79</b>", page, re.DOTALL)
    assert "came in from" in page
    assert looking.get("/items/CVE-1999-1").status_code == 404


def test_script_in_the_text_of_an_advisory_stays_text(looking: Any) -> None:
    page = looking.get("/items/CVE-2099-10005").text
    shown = re.sub(r"</?mark[^>]*>", "", page)
    assert "&lt;script&gt;document.title" in shown
    assert "<script>document" not in shown
    assert "<img" not in page


def test_a_verdict_is_written_once_and_the_next_item_comes(ada: Any, queue_db: Path) -> None:
    there = ada.decide("accept", "CVE-2099-10001", place="at=0")
    assert there.url.path.startswith("/items/")
    assert "CVE-2099-10001 accepted: CWE-89" in there.text
    with open_store(queue_db) as store:
        assert [(each.act, each.reviewer) for each in show(store, "CVE-2099-10001").reviews] == [("accept", "Ada")]


def test_undo_from_the_next_page(ada: Any, queue_db: Path) -> None:
    there = ada.decide("accept", "CVE-2099-10001")
    form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', there.text[there.text.index('class="flash') :])[:4])
    assert (form["act"], form["item"]) == ("undo", "CVE-2099-10001")
    back = ada.client.post("/reviews", data=form)
    assert "taken back" in back.text
    with open_store(queue_db) as store:
        assert show(store, "CVE-2099-10001").item.state == "open"


def test_correct_takes_numbers_and_names_them_in_order(ada: Any, queue_db: Path) -> None:
    ada.decide("correct", "CVE-2099-10003", cwe_ids="416, CWE-787, ", reason="freed first")
    with open_store(queue_db) as store:
        assert show(store, "CVE-2099-10003").item.cwe_ids == ("CWE-416", "CWE-787")


@pytest.mark.parametrize(
    ("act", "fields", "told"),
    [
        ("correct", {"cwe_ids": "CWE-264"}, "must not be assigned"),
        ("correct", {"cwe_ids": "CWE-20"}, "MITRE discourages mapping to CWE-20"),
        ("correct", {"cwe_ids": ""}, "needs the entries"),
        ("reject", {"reason": " "}, "needs a reason"),
        ("delete", {}, "does not say what to do"),
    ],
)
def test_what_cannot_be_decided_is_told_and_changes_nothing(
    looking: Any, imported: Path, act: str, fields: dict[str, str], told: str
) -> None:
    page = looking.decide(act, "CVE-2099-10003", **fields)
    assert page.status_code == 422
    assert told in page.text
    assert "--reason" not in page.text
    with open_store(imported) as store:
        assert show(store, "CVE-2099-10003").reviews == ()


def test_the_second_writer_is_told_what_the_first_decided_and_keeps_what_was_typed(ada: Any, queue_db: Path) -> None:
    with open_store(queue_db) as store:
        review(store, "CVE-2099-10003", "accept", reviewer="Grace", version=1)
        page = ada.decide("correct", "CVE-2099-10003", cwe_ids="CWE-416", reason="my long reason")
        assert page.status_code == 409
        assert "Grace has accepted it" in page.text
        assert "my long reason" in page.text
        assert len(show(store, "CVE-2099-10003").reviews) == 1


@pytest.mark.parametrize("csrf", [None, "", "wrong"])
def test_a_form_without_the_token_is_refused(looking: Any, imported: Path, csrf: str | None) -> None:
    form = {"act": "accept", "item": "CVE-2099-10001", "version": "1", **({} if csrf is None else {"csrf": csrf})}
    page = looking.client.post("/reviews", data=form)
    assert page.status_code == 403
    assert looking.client.post("/sign-in", data={"key": "x", **({} if csrf is None else {"csrf": csrf})}).status_code == 403
    with open_store(imported) as store:
        assert [each.action for each in history(store, "CVE-2099-10001")] == ["import"]


def test_a_form_that_a_browser_says_is_of_another_site_is_refused(looking: Any) -> None:
    form = {"csrf": looking.token("/queue"), "act": "accept", "item": "CVE-2099-10001", "version": "1"}
    assert looking.client.post("/reviews", data=form, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_a_reader_looks_and_cannot_decide(visitor: Any, keys: dict[str, str], queue_db: Path) -> None:
    visitor.sign_in(keys["Rosa"])
    assert "deciding needs the role reviewer" in visitor.get("/items/CVE-2099-10001").text
    page = visitor.decide("accept", "CVE-2099-10001")
    assert page.status_code == 403
    with open_store(queue_db) as store:
        assert show(store, "CVE-2099-10001").reviews == ()


def test_a_form_that_is_too_large_is_refused(looking: Any) -> None:
    page = looking.client.post("/reviews", data={"csrf": looking.token("/queue"), "reason": "x" * 100_000})
    assert page.status_code == 413


@pytest.mark.parametrize("name", ["csv", "cve-adp", "csaf", "stix", "sarif", "training"])
def test_downloads(ada: Any, name: str) -> None:
    ada.decide("accept", "CVE-2099-10003")
    there = ada.get(f"/export/download?format={name}&state=accepted")
    assert there.status_code == 200
    assert "CVE-2099-10003" in there.text
    assert "Ada" not in there.text
    assert re.fullmatch(
        rf'attachment; filename="decisions-\d{{4}}-\d\d-\d\d-{name}\.[\w.]+"', there.headers["content-disposition"]
    )


@pytest.mark.parametrize("name", ["../../etc/passwd", "%2e%2e%2fkeys.json", 'csv"; filename="x.exe', ""])
def test_a_format_that_is_none_is_no_path_and_no_header(looking: Any, name: str) -> None:
    there = looking.client.get("/export/download", params={"format": name})
    assert there.status_code == 422
    assert "content-disposition" not in there.headers


@pytest.mark.parametrize(
    "address", ["/static/..%2f__init__.py", "/static/nothing.css", "/reports/..%2fembedded-fast", "/reports/x"]
)
def test_names_of_files_are_never_paths(looking: Any, address: str) -> None:
    assert looking.get(address).status_code == 404


def test_reports_show_the_records_of_the_folder(looking: Any) -> None:
    assert "embedded-fast" in looking.get("/reports").text
    page = looking.get("/reports/embedded-fast").text
    assert "cti-rcm" in page
    assert "outcomes" in page


def test_the_picker_finds_by_words_and_number(looking: Any) -> None:
    found = looking.get("/weaknesses?q=sql+injection").json()["found"]
    assert found[0]["id"] == "CWE-89"
    assert looking.get("/weaknesses?q=416").json()["found"][0]["id"] == "CWE-416"
    (validation, *_) = looking.get("/weaknesses?q=CWE-20").json()["found"]
    assert validation["usage"] == "Discouraged"
    assert validation["prefer"]


def test_dashboards_count_what_was_done(ada: Any) -> None:
    ada.decide("accept", "CVE-2099-10001")
    ada.decide("reject", "CVE-2099-10004", reason="says nothing")
    page = ada.get("/dashboards").text
    assert "1 accepted, 0 corrected, 1 rejected" in page
    assert '<rect class="accepted"' in page
    drift = ada.get("/drift?every=year")
    assert drift.status_code == 200
    assert "no period has 50 items" in drift.text
    assert ada.get("/drift?every=fortnight").status_code == 422


def test_asking_without_a_knowledge_base_says_what_to_do(looking: Any) -> None:
    assert "ctiforge kb build" in looking.get("/ask?q=what+is+CWE-79").text


def test_pages_are_no_part_of_the_api(app: Any) -> None:
    assert not {"/queue", "/sign-in", "/reviews"} & set(app.openapi()["paths"])


def test_similar_past_cves_come_from_the_index(settings: Any, keys: dict[str, str], tmp_path: Path, visiting: Any) -> None:
    past = invented.write_feed(tmp_path / "past.jsonl", [invented.cve(10077, f"{invented.SQL} again", cna=("CWE-89",))])
    model = load_model(settings.classifier)
    build_similar_index(read_raw_records([str(past)]), tmp_path / "index", model, catalogue=load_catalogue())
    with visiting(replace(settings, similar=tmp_path / "index")) as visitor:
        visitor.sign_in(keys["Ada"])
        page = visitor.get("/items/CVE-2099-10001").text
    assert "CVE-2099-10077" in page
    assert "CNA CWE-89" in page


def test_two_reviewers_where_the_store_asks_for_them(
    settings: Any, keys: dict[str, str], queue_db: Path, visiting: Any, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text("four_eyes: true\n")
    with open_store(queue_db) as store:
        rank(store, actor="Ada", rules=load_rules(tmp_path / "rules.yaml"))
    with visiting(settings) as visitor:
        visitor.sign_in(keys["Ada"])
        assert "awaits a second reviewer" in visitor.decide("accept", "CVE-2099-10001").text
        assert "Your verdict waits for a second reviewer" in visitor.get("/items/CVE-2099-10001").text
        assert visitor.decide("confirm", "CVE-2099-10001", version=2).status_code == 422
        visitor.sign_in(keys["Grace"])
        assert "Confirm what Ada decided" in visitor.get("/items/CVE-2099-10001").text
        visitor.decide("confirm", "CVE-2099-10001", version=2)
    with open_store(queue_db) as store:
        assert show(store, "CVE-2099-10001").item.state == "accepted"


def test_with_tls_cookies_are_secure_and_of_this_host(settings: Any, keys: dict[str, str], visiting: Any) -> None:
    with visiting(replace(settings, behind_tls_proxy=True), "https://127.0.0.1") as visitor:
        form = {"csrf": visitor.token("/sign-in"), "key": keys["Ada"]}
        reply = visitor.client.post("/sign-in", data=form, follow_redirects=False)
    cookie = next(each for each in reply.headers.get_list("set-cookie") if "session" in each)
    assert cookie.startswith("__Host-ctiforge_session=")
    assert "Secure" in cookie.split("; ")


def test_without_keys_a_name_is_asked_for(settings: Any, queue_db: Path, visiting: Any) -> None:
    with visiting(replace(settings, keys=None)) as visitor:
        assert visitor.sign_in("  ").status_code == 403
        visitor.sign_in("Ada  Example")
        visitor.decide("accept", "CVE-2099-10001")
    with open_store(queue_db) as store:
        assert show(store, "CVE-2099-10001").reviews[0].reviewer == "Ada Example"
