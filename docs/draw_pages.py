"""Draw docs/pages/*.png: every page, light and dark, 1280 and 360 pixels wide, on the invented examples.

.venv/bin/python docs/draw_pages.py [--kb DIR] [--only NAME]
"""

from __future__ import annotations

import argparse
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from ctiforge.serve.settings import ServeSettings
from ctiforge.triage import QueueFilter, import_advisories, open_store, queue, rank, review, show
from ctiforge.triage.values import STATES

ROOT = Path(__file__).resolve().parents[1]
TARGET = Path(__file__).parent / "pages"
WIDTHS = (1280, 360)
SCHEMES = ("light", "dark")
PAGES = {
    "queue": "/queue",
    "bulk": "/bulk?min=0.9",
    "item": "/items/CVE-2099-10010?at=3",
    "dashboards": "/dashboards?days=14",
    "ask": "/ask?q=what+is+the+difference+between+CWE-862+and+CWE-863%3F",
    "reports": "/reports",
    "report": "/reports/embedded-fast",
    "export": "/export",
}
DECISIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("CVE-2099-10011", "accept", {}),
    ("CVE-2099-10009", "accept", {}),
    ("CVE-2099-10012", "correct", {"cwe_ids": ["CWE-120"], "reason": "copied without a look at the size"}),
    ("CVE-2099-10013", "accept", {}),
)
DRIFT = {"drift": "/drift"}
_A_MONTH = 60
_COLOURS = 128


def fill(folder: Path) -> Path:
    """Import the examples with invented KEV and EPSS files, and decide some, on several days; return the store."""
    kev, epss = folder / "kev.json", folder / "epss.csv"
    kev.write_text('{"vulnerabilities": [{"cveID": "CVE-2099-10007", "dateAdded": "2099-05-02"}]}')
    scores = ("10007,0.91,0.99", "10001,0.12,0.94", "10005,0.41,0.97", "10008,0.02,0.7", "10010,0.08,0.9")
    epss.write_text("\n".join(["cve,epss,percentile", *(f"CVE-2099-{each}" for each in scores)]) + "\n")
    now = [datetime.now(UTC) - timedelta(days=6)]
    with open_store(folder / "triage.db", clock=lambda: now[0]) as store:
        import_advisories(store, [str(ROOT / "examples")], workers=1)
        rank(store, actor="Ada Example", kev=kev, epss=epss)
        for item_id, verdict, options in DECISIONS:
            now[0] += timedelta(days=1)
            review(store, item_id, verdict, reviewer="Ada Example", **options)
    return folder / "triage.db"


def fill_months(folder: Path) -> Path:
    """Import the examples' texts again and again, as a feed over six months whose last ones have fewer kinds; for drift."""
    with open_store(folder / "triage.db") as store:
        texts = [show(store, each.id).advisory.description for each in queue(store, QueueFilter(states=STATES)).items]
    feed = folder / "months.jsonl"
    with feed.open("wb") as stream:
        for number in range(6 * _A_MONTH):
            month = number // _A_MONTH + 1
            text = texts[number % (len(texts) if month < 5 else 4)]
            row = {
                "id": f"CVE-2099-{20001 + number}",
                "description": text,
                "published": f"2099-{month:02}-{number % 28 + 1:02}",
            }
            stream.write(orjson.dumps(row) + b"\n")
    with open_store(folder / "months.db") as store:
        import_advisories(store, [str(feed)], workers=1)
    return folder / "months.db"


@contextmanager
def served(settings: ServeSettings) -> Iterator[str]:
    """Serve in a thread; gives the address."""
    import uvicorn

    from ctiforge.serve.app import create_app

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(create_app(settings), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.1)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def draw(address: str, pages: dict[str, str], only: str | None) -> None:
    """Photograph pages, those for which one has to be signed in after signing in."""
    from playwright.sync_api import sync_playwright

    TARGET.mkdir(exist_ok=True)
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in SCHEMES:
            for width in WIDTHS:
                context = browser.new_context(
                    base_url=address, color_scheme=scheme, viewport={"width": width, "height": 800 if width > 400 else 740}
                )
                page = context.new_page()
                page.goto("/sign-in")
                if only in (None, "sign-in"):
                    photograph(page, TARGET / f"sign-in-{scheme}-{width}.png")
                page.fill("#key", "Ada Example")
                page.keyboard.press("Enter")
                page.wait_for_selector("h1:text('Queue')")
                for name in [name for name in pages if only in (None, name)]:
                    page.goto(pages[name])
                    photograph(page, TARGET / f"{name}-{scheme}-{width}.png")
                context.close()
        browser.close()


def photograph(page: Any, path: Path) -> None:
    """Write the whole page as a PNG with a palette, which is a quarter of the size."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(page.screenshot(full_page=True))) as shot:
        shot.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Fill a store, serve it, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kb", type=Path, help="a knowledge base; without it one of CWE alone is built")
    parser.add_argument("--only", choices=["sign-in", *PAGES, *DRIFT], help="this page only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db, kb = fill(Path(folder)), given.kb
        if kb is None:
            from ctiforge.ask import BuildInputs, build_knowledge_base

            kb = Path(folder) / "kb"
            build_knowledge_base(BuildInputs(), kb, embeddings=False)
        settings = ServeSettings(store=str(db), kb=kb, embeddings=False, reports=ROOT / "benchmarks" / "records")
        with served(settings) as address:
            draw(address, PAGES, given.only)
        with served(ServeSettings(store=str(fill_months(Path(folder))))) as address:
            draw(address, DRIFT, given.only)


if __name__ == "__main__":
    main()
