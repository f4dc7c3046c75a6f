// Single keys: an element with data-key is clicked, a field is focused. They can be switched off (WCAG 2.1.4).
"use strict";
(() => {
  const help = document.getElementById("help");
  const box = document.getElementById("keys-on");
  const kept = "ctiforge-single-keys";
  try { box.checked = localStorage.getItem(kept) !== "off"; } catch { /* they are on */ }
  box.addEventListener("change", () => {
    try { localStorage.setItem(kept, box.checked ? "on" : "off"); } catch { /* it holds for this page */ }
  });
  document.getElementById("help-button").addEventListener("click", () => help.showModal());

  const rows = [...document.querySelectorAll("[data-row] .id")];
  const move = (by) => {
    const now = rows.indexOf(document.activeElement);
    const next = now < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, now + by));
    rows[next].focus();
    rows[next].closest("[data-row]").scrollIntoView({ block: "nearest" });
  };
  const isField = (element) => element.matches("input:not([type=checkbox]):not([type=radio]), textarea, select");

  addEventListener("keydown", (event) => {
    const field = isField(event.target);
    if (event.key === "Escape" && field) { event.target.blur(); return; }
    if (field || help.open || !box.checked && event.key !== "?" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (rows.length && (event.key === "j" || event.key === "k")) {
      event.preventDefault();
      move(event.key === "j" ? 1 : -1);
      return;
    }
    if (event.repeat || event.key.length !== 1) return;
    const found = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (found) {
      event.preventDefault();
      if (isField(found)) { found.scrollIntoView({ block: "center" }); found.focus(); found.select?.(); } else found.click();
    } else if (rows.includes(document.activeElement) && "acr".includes(event.key)) {
      document.activeElement.click(); // deciding is done with the evidence in view
    }
  });

  // Nothing is sent twice.
  addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
  addEventListener("pageshow", () => { for (const form of document.forms) delete form.dataset.sent; });
  document.getElementById("problem")?.focus();
})();
