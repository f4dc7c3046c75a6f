// An item's page: which evidence is marked, and the picker of entries.
"use strict";
(() => {
  const buttons = [...document.querySelectorAll("[data-rank]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
      for (const mark of document.querySelectorAll("#advisory mark")) {
        mark.classList.toggle("on", mark.dataset.ranks.split(" ").includes(button.dataset.rank));
      }
      document.getElementById("evidence-of").textContent = button.dataset.entry;
    });
  }

  const field = document.getElementById("cwe_ids");
  if (!field) return;
  const list = document.getElementById("found");
  const picked = document.getElementById("picked");
  let options = [];
  let active = -1;
  let asked = 0;
  field.setAttribute("role", "combobox");
  field.setAttribute("aria-controls", "found");
  field.setAttribute("aria-autocomplete", "list");
  field.setAttribute("aria-expanded", "false");

  // What is typed after the last complete entry.
  const split = () => {
    const parts = field.value.match(/^((?:\s*CWE-\d+\s*,)*)\s*(.*)$/i);
    return { before: parts[1].trim(), typed: parts[2].trim() };
  };
  const close = () => {
    list.hidden = true;
    options = [];
    active = -1;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  };
  const mark = (at) => {
    active = at;
    [...list.children].forEach((each, number) => each.setAttribute("aria-selected", String(number === at)));
    if (at >= 0) {
      field.setAttribute("aria-activedescendant", `found-${at}`);
      list.children[at].scrollIntoView({ block: "nearest" });
    }
  };
  const say = (entry) => {
    const prefer = entry.prefer.length ? `; prefer ${entry.prefer.join(", ")}` : "";
    picked.textContent = `${entry.id}: ${entry.usage}${prefer}`;
  };
  const take = (id, entry) => {
    const { before } = split();
    const chosen = before.split(",").map((each) => each.trim()).filter(Boolean);
    if (!chosen.includes(id)) chosen.push(id);
    field.value = `${chosen.join(", ")}, `;
    if (entry) say(entry);
    close();
    field.focus();
  };
  const show = (found) => {
    options = found;
    list.replaceChildren(...found.map((entry, number) => {
      const option = document.createElement("li");
      option.id = `found-${number}`;
      option.setAttribute("role", "option");
      const id = document.createElement("b");
      id.textContent = entry.id;
      const about = document.createElement("span");
      about.className = "muted small";
      about.textContent = `${entry.abstraction}, ${entry.usage}`;
      option.append(id, ` ${entry.name} `, about);
      option.addEventListener("mousedown", (event) => { event.preventDefault(); take(entry.id, entry); });
      return option;
    }));
    list.hidden = !found.length;
    field.setAttribute("aria-expanded", String(!list.hidden));
    mark(found.length ? 0 : -1);
  };
  field.addEventListener("input", async () => {
    const number = ++asked;
    const { typed } = split();
    if (!typed) { close(); return; }
    await new Promise((resolve) => setTimeout(resolve, 120));
    if (number !== asked) return;
    try {
      const reply = await fetch(`/weaknesses?q=${encodeURIComponent(typed)}`);
      const found = reply.ok ? (await reply.json()).found : [];
      if (number === asked) show(found);
    } catch { close(); }
  });
  field.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      mark((active + (event.key === "ArrowDown" ? 1 : options.length - 1)) % options.length);
    } else if (event.key === "Enter" && active >= 0) {
      event.preventDefault();
      take(options[active].id, options[active]);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      close();
    }
  });
  field.addEventListener("blur", close);
  for (const button of document.querySelectorAll("[data-use]")) button.addEventListener("click", () => take(button.dataset.use));
})();
