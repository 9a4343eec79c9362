// Makes the page better, never necessary: it refreshes itself in place, and filters while one types.
"use strict";
(() => {
  const EVERY_MS = 15000, PATIENCE_MS = 10000, TYPING_MS = 250;
  const form = document.getElementById("search");
  const said = document.getElementById("said");
  let asked = 0, failures = 0, timer = 0;

  // Change a node into another one as little as may be: focus, selection and what is folded open stay.
  const morph = (old, now) => {
    if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName) {
      old.replaceWith(document.importNode(now, true));
    } else if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== now.nodeValue) old.nodeValue = now.nodeValue;
    } else if (!old.isEqualNode(now)) {
      for (const { name } of [...old.attributes])
        if (!now.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
      for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
      children(old, now);
    }
  };
  const children = (old, now) => {
    const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    let at = old.firstChild;
    for (const child of now.childNodes) {
      const same = child.id ? known.get(child.id) : at && !at.id ? at : null;
      if (!same) {
        old.insertBefore(document.importNode(child, true), at);
      } else {
        if (same === at) at = at.nextSibling;
        else old.insertBefore(same, at);
        morph(same, child);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  const refresh = async (url = location.href) => {
    const turn = ++asked;
    clearTimeout(timer);
    try {
      const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS), redirect: "error" });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (turn !== asked) return;
      failures = 0;
      apply(next);
    } catch {
      if (turn !== asked) return;
      failures += 1;
      note(failures > 1 ? "· not refreshed: the service doesn't answer" : "");
    }
    schedule();
  };
  const apply = (next) => {
    const focused = document.activeElement;
    const headline = document.querySelector("h1")?.textContent, title = next.title;
    for (const region of document.querySelectorAll("[data-live]")) {
      const now = next.getElementById(region.id);
      if (now && !holdsSelection(region)) morph(region, now);
    }
    if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
    if (title) document.title = title;
    const after = document.querySelector("h1")?.textContent;
    if (after !== headline) said.textContent = after;
    note("· refreshes itself");
  };
  const holdsSelection = (region) => {
    const selection = getSelection();
    return !selection.isCollapsed && selection.anchorNode !== null && region.contains(selection.anchorNode);
  };
  const note = (text) => {
    const place = document.getElementById("refresh");
    if (place) place.textContent = text;
  };
  const schedule = () => {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(refresh, EVERY_MS * Math.min(8, 2 ** failures));
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));

  if (form) {
    let typing = 0;
    const look = async () => {
      const chosen = new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim()));
      if (chosen.get("state") === "all") chosen.delete("state");
      if (chosen.get("sort") === "worst") chosen.delete("sort");
      const query = chosen.toString();
      const url = location.pathname + (query ? `?${query}` : "");
      history.replaceState(null, "", url);
      await refresh(url);
      said.textContent = document.getElementById("found")?.textContent ?? "";
    };
    form.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(look, TYPING_MS);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(typing);
      look();
    });
  }
  note("· refreshes itself");
  schedule();
})();
