"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("js");

  // One of several views: radio buttons or a list choose which.
  for (const chooser of all("[data-switch]")) {
    const views = all(`[data-views="${chooser.dataset.switch}"] > .view`);
    const show = () => {
      const chosen = chooser.value ?? chooser.querySelector("input:checked").value;
      for (const view of views) view.classList.toggle("on", view.dataset.view === chosen);
    };
    chooser.addEventListener("change", show);
    show();
  }

  // Methods that are not ticked leave the charts and the table.
  for (const box of all("[data-toggle]")) {
    const filter = () => {
      for (const item of all("[data-series]")) {
        if (item.dataset.series === box.dataset.toggle) item.classList.toggle("off", !box.checked);
      }
      for (const chart of charts) chart.rove();
    };
    box.addEventListener("change", filter);
  }

  // Logarithmic or linear: each element swaps the layout that it shows with the other one that it carries.
  document.getElementById("log")?.addEventListener("change", () => {
    for (const item of all("[data-other]")) {
      const name = item.tagName === "path" ? "d" : "transform";
      const shown = item.getAttribute(name);
      item.setAttribute(name, item.dataset.other);
      item.dataset.other = shown;
    }
    for (const layout of all("[data-layout]")) {
      if (layout.parentNode.querySelectorAll("[data-layout]").length > 1) layout.classList.toggle("gone");
    }
    for (const chart of charts) chart.rove();
  });

  const tip = document.getElementById("tip");
  const show = (mark) => {
    const box = mark.querySelector(".shape").getBoundingClientRect();
    const [x, y] = [box.left + box.width / 2, box.top];
    tip.textContent = mark.getAttribute("aria-label");
    tip.hidden = false;
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${y - tip.offsetHeight - 14 < 8 ? y + 18 : y - tip.offsetHeight - 14}px`;
  };
  const hide = () => { tip.hidden = true; };

  // The layers of one network: a mark, or a link of the advice, chooses it.
  const layers = document.getElementById("layer");
  const has = (point) => layers && [...layers.options].some((option) => option.value === point);
  const choose = (point) => {
    if (!has(point)) return;
    layers.value = point;
    layers.dispatchEvent(new Event("change"));
    document.getElementById("layers").scrollIntoView();
    layers.focus({ preventScroll: true });
  };
  for (const link of all("[data-choose]")) {
    link.addEventListener("click", (event) => {
      if (!has(link.dataset.choose)) return;
      event.preventDefault();
      choose(link.dataset.choose);
    });
  }

  // A chart is one stop of the tab key; arrow keys, Home and End move among its marks from left to right.
  const charts = all("svg.chart").filter((svg) => svg.querySelector(".mark")).map((svg) => {
    const marks = all(".mark", svg);
    const reachable = () => marks
      .filter((mark) => !mark.classList.contains("off"))
      .map((mark) => [mark.transform.baseVal.consolidate().matrix.e, mark])
      .sort((a, b) => a[0] - b[0])
      .map(([, mark]) => mark);
    const rove = (current) => {
      const open = reachable();
      const kept = current ?? open.find((mark) => mark.tabIndex === 0) ?? open[0];
      for (const mark of marks) mark.tabIndex = mark === kept ? 0 : -1;
    };
    for (const mark of marks) {
      const title = mark.querySelector("title");
      mark.setAttribute("aria-label", title.textContent);
      title.remove();
      if (has(mark.dataset.point)) mark.setAttribute("role", "button");
      mark.addEventListener("pointerenter", () => show(mark));
      mark.addEventListener("pointerleave", hide);
      mark.addEventListener("focus", () => { rove(mark); show(mark); });
      mark.addEventListener("blur", hide);
      mark.addEventListener("click", () => choose(mark.dataset.point));
    }
    svg.addEventListener("keydown", (event) => {
      const open = reachable();
      const at = open.indexOf(event.target);
      if (at < 0) return;
      const steps = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: open.length - 1 };
      if (event.key in steps) {
        event.preventDefault();
        open[Math.max(0, Math.min(steps[event.key], open.length - 1))].focus();
      } else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose(event.target.dataset.point);
      }
    });
    rove(reachable()[0]);
    return { rove };
  });
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", hide, { passive: true });

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
})();
