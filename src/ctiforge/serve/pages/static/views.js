// Views that a reviewer saved: a name and the query string of the queue, kept by this browser for this person.
"use strict";
(() => {
  const place = document.getElementById("views");
  const kept = `ctiforge-views-${place.dataset.person}`;
  const read = () => {
    try {
      const views = JSON.parse(localStorage.getItem(kept) || "[]");
      return Array.isArray(views) ? views.filter((each) => typeof each.name === "string" && typeof each.query === "string") : [];
    } catch { return []; }
  };
  const write = (views) => {
    try { localStorage.setItem(kept, JSON.stringify(views)); } catch { alert("This browser keeps nothing; bookmark the page instead."); }
    show();
  };
  const now = new URLSearchParams([...new FormData(document.querySelector(".filters"))].filter(([, value]) => value)).toString();
  const show = () => {
    place.replaceChildren(...read().map((view, number) => {
      const whole = document.createElement("span");
      whole.className = "saved";
      const link = document.createElement("a");
      link.href = `/queue?${view.query}`;
      link.textContent = view.name;
      if (view.query === now) link.setAttribute("aria-current", "true");
      const remove = document.createElement("button");
      remove.type = "button";
      remove.className = "quiet";
      remove.textContent = "×";
      remove.setAttribute("aria-label", `Forget the view ${view.name}`);
      remove.addEventListener("click", () => write(read().filter((_, at) => at !== number)));
      whole.append(link, remove);
      return whole;
    }));
  };
  document.getElementById("save-view").addEventListener("click", () => {
    const name = prompt("Name of this view")?.trim().slice(0, 40);
    if (name) write([...read().filter((each) => each.name !== name), { name, query: now }]);
  });
  show();
})();
