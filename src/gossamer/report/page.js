"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("js");

  for (const group of all("[data-switch]")) {
    const views = all(`[data-views="${group.dataset.switch}"] > .view`);
    const show = () => {
      const chosen = group.querySelector("input:checked").value;
      for (const view of views) view.classList.toggle("on", view.dataset.view === chosen);
    };
    group.addEventListener("change", show);
    show();
  }

  for (const button of all("[data-toggle]")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", on);
      for (const mark of all("[data-series]")) {
        if (mark.dataset.series === button.dataset.toggle) mark.classList.toggle("off", !on);
      }
    });
  }

  const tip = document.getElementById("tip");
  const place = (x, y) => {
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${y - tip.offsetHeight - 14 < 8 ? y + 18 : y - tip.offsetHeight - 14}px`;
  };
  for (const mark of all("[data-tip]")) {
    const title = mark.querySelector("title");
    if (title) title.remove();
    const show = () => {
      const box = mark.querySelector(".shape").getBoundingClientRect();
      tip.textContent = mark.dataset.tip;
      tip.hidden = false;
      place(box.left + box.width / 2, box.top);
    };
    const hide = () => { tip.hidden = true; };
    mark.addEventListener("pointerenter", show);
    mark.addEventListener("pointerleave", hide);
    mark.addEventListener("focus", show);
    mark.addEventListener("blur", hide);
  }
  addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  const button = document.getElementById("theme");
  const key = "gossamer-theme";
  const dark = () => {
    const chosen = root.style.colorScheme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const remember = (value) => { try { localStorage.setItem(key, value); } catch { /* a page from a file may have none */ } };
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; };
  try { root.style.colorScheme = localStorage.getItem(key) || ""; } catch { /* follow the system */ }
  button.hidden = false;
  name();
  button.addEventListener("click", () => {
    root.style.colorScheme = dark() ? "light" : "dark";
    remember(root.style.colorScheme);
    name();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  addEventListener("beforeprint", () => { for (const item of all("details")) item.open = true; });
})();
