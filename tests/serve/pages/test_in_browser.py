"""A person with a keyboard and a real Chromium: sign in, filter, decide, undo, export, ask; and axe on every page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctiforge.triage import TriageRules, history, open_store, rank, review, show, verify

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

PAGES = (
    "/queue", "/items/CVE-2099-10002", "/items/CVE-2099-10004", "/dashboards", "/drift", "/ask?q=what+is+CWE-903", "/reports",
    "/reports/embedded-fast", "/export", "/queue?state=nonsense", "/bulk?min=0.5",
)  # fmt: skip


@pytest.fixture
def page(chromium: Any, served: str) -> Iterator[Any]:
    """A page of its own; whatever the browser complains about fails the test."""
    context = chromium.new_context(base_url=served, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert [each for each in complaints if "status of 4" not in each] == []


@pytest.fixture
def signed_in(page: Any, keys: dict[str, str]) -> Any:
    page.goto("/queue")
    page.wait_for_selector("#key:focus")  # a browser gives the focus some time after the page has loaded
    page.keyboard.type(keys["Ada"])
    page.keyboard.press("Enter")
    _see(page, "h1:text('Queue')")
    return page


def _see(page: Any, selector: str) -> None:
    """Wait until something is to be seen and the page's script is there to take keys."""
    page.wait_for_selector(selector)
    page.wait_for_load_state()


def test_a_morning_by_keyboard(signed_in: Any, queue_db: Path, tmp_path: Path) -> None:
    page = signed_in
    page.keyboard.press("/")
    page.keyboard.type("login")
    page.keyboard.press("Enter")
    page.wait_for_url("**/queue?q=login*")
    assert page.locator("[data-row]").count() == 4
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    _see(page, "h1:text('CVE-2099-10001')")
    page.keyboard.press("a")
    _see(page, "text=CVE-2099-10001 accepted: CWE-89")
    second = page.locator("h1").inner_text()
    page.keyboard.press("u")
    _see(page, "text=CVE-2099-10001 taken back")
    page.keyboard.press("j")
    _see(page, f"h1:text('{second}')")
    page.keyboard.press("c")
    page.keyboard.type("use after")
    _see(page, "#found:not([hidden]) >> text=CWE-416")
    page.keyboard.press("Enter")
    page.keyboard.type("787")
    _see(page, "#found:not([hidden]) >> text=CWE-787")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    _see(page, f"text={second} corrected: CWE-416, CWE-787")
    third = page.locator("h1").inner_text()
    page.keyboard.press("r")
    page.keyboard.type("the text does not say what went wrong")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    _see(page, f"text={third} rejected")
    with open_store(queue_db) as store:
        assert show(store, second).item.cwe_ids == ("CWE-416", "CWE-787")
        assert [each.act for each in show(store, "CVE-2099-10001").reviews] == ["accept", "undo"]
        assert show(store, third).item.state == "rejected"

    page.goto("/export")
    with page.expect_download() as waiting:
        page.click("button:text('Download')")
    text = Path(waiting.value.path()).read_text()
    assert second in text
    assert "CVE-2099-10001" not in text


def test_bulk_acceptance_by_keyboard(signed_in: Any, queue_db: Path) -> None:
    page = signed_in
    with open_store(queue_db) as store:
        rank(store, actor="lead", rules=TriageRules(bulk_min_probability=0.5))
    page.click("text=Accept in bulk")
    _see(page, "h1:text('Accept in bulk')")
    page.keyboard.press("/")
    page.wait_for_function("document.activeElement.name === 'min'")
    page.keyboard.type("0.8")
    page.keyboard.press("Enter")
    _see(page, "h2:text('2 suggestions would be accepted')")
    page.keyboard.press("r")
    page.wait_for_function("document.activeElement.name === 'reason'")
    page.keyboard.type("routine")
    page.keyboard.press("Tab")
    page.wait_for_function("document.activeElement.name === 'sure'")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # not ticked, so the browser says so and nothing is sent
    assert page.evaluate("location.pathname + location.search").startswith("/bulk?")
    page.wait_for_function("document.activeElement.name === 'sure'")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    _see(page, "text=2 suggestions accepted in bulk")
    with open_store(queue_db) as store:
        assert [each.actor for each in history(store) if each.action == "bulk-accept"] == ["Ada"]
        assert show(store, "CVE-2099-10001").item.state == "accepted"
    page.keyboard.press("u")
    _see(page, "text=2 items are again what they were before")
    with open_store(queue_db) as store:
        assert show(store, "CVE-2099-10001").item.state == "open"
        assert verify(store).broken is None


def test_asking_shows_what_is_cited(signed_in: Any) -> None:
    page = signed_in
    page.goto("/ask")
    page.keyboard.press("/")
    page.keyboard.type("what is CWE-903?")
    page.keyboard.press("Enter")
    _see(page, "h2:text('Answer')")
    page.click(".cite >> nth=0")
    assert page.evaluate("location.hash") == "#cite-1"
    assert "CWE-903" in page.locator("#cite-1").inner_text()
    page.goto("/ask?q=who+won+the+regatta+in+Dublin+last+summer%3F")
    _see(page, "text=The knowledge base does not say")


def test_single_keys_can_be_switched_off(signed_in: Any) -> None:
    page = signed_in
    page.keyboard.press("?")
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") != "q"
    page.reload()
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.className") != "id"


def test_a_view_is_saved_for_this_person(signed_in: Any) -> None:
    page = signed_in
    page.goto("/queue?kev=1")
    page.once("dialog", lambda dialog: dialog.accept("<b>mine</b>"))
    page.click("#save-view")
    page.goto("/queue")
    page.click("text=<b>mine</b>")
    page.wait_for_url("**/queue?*kev=1*")
    assert page.locator("[data-row]").count() == 1


def test_script_in_an_advisory_does_not_run(signed_in: Any) -> None:
    page = signed_in
    page.goto("/items/CVE-2099-10005")
    assert "<script>document.title='owned'</script>" in page.locator("#advisory").inner_text()
    assert page.title().startswith("CVE-2099-10005")
    assert page.locator("#advisory img, #advisory script").count() == 0


def test_somebody_was_faster(signed_in: Any, queue_db: Path) -> None:
    page = signed_in
    page.goto("/items/CVE-2099-10003")
    with open_store(queue_db) as store:
        review(store, "CVE-2099-10003", "accept", reviewer="Grace", version=1)
    page.keyboard.press("a")
    _see(page, "[role=alert] >> text=Grace has accepted it")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(chromium: Any, served: str, keys: dict[str, str], queue_db: Path, scheme: str) -> None:
    with open_store(queue_db) as store:  # so that the page of bulk acceptance has something to show
        rank(store, actor="lead", rules=TriageRules(bulk_min_probability=0.5))
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = chromium.new_context(
        base_url=served, color_scheme=scheme, viewport={"width": 1280, "height": 900}, bypass_csp=True
    )
    page = context.new_page()
    found = []
    page.goto("/sign-in")
    found += _serious(axe, page, "/sign-in")
    page.fill("#key", keys["Ada"])
    page.keyboard.press("Enter")
    _see(page, "h1:text('Queue')")
    for address in PAGES:
        page.goto(address)
        found += _serious(axe, page, address)
    page.set_viewport_size({"width": 360, "height": 780})
    for address in PAGES:
        page.goto(address)
        wide = page.evaluate("document.documentElement.scrollWidth")
        found += [f"{address}: {wide} px wide on a screen of 360"] if wide > 360 else []
    context.close()
    assert found == []


def _serious(axe: Any, page: Any, address: str) -> list[str]:
    results = axe.run(page).response["violations"]
    return [
        f"{address}: {each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in results
        if each["impact"] in ("serious", "critical")
    ]
