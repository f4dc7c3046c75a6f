// Light, dark, or what the system says; set before the first paint. This machine's browser keeps the choice.
"use strict";
(() => {
  const root = document.documentElement;
  const choices = ["auto", "light", "dark"];
  const stored = () => {
    try { return localStorage.getItem("ctiforge-theme") || "auto"; } catch { return "auto"; }
  };
  let theme = choices.includes(stored()) ? stored() : "auto";
  const apply = () => {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${theme}`;
  };
  root.classList.add("js");
  apply();
  addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      theme = choices[(choices.indexOf(theme) + 1) % choices.length];
      try { localStorage.setItem("ctiforge-theme", theme); } catch { /* it holds for this page */ }
      apply();
    });
  });
})();
