// While a message is on its way: what has changed is replaced, part by part, and statuses are told.
// Whatever has the focus keeps it, and nothing moves that did not change. console.js says when to ask.
"use strict";
(() => {
  const live = document.getElementById("live");
  if (!live) return;
  const told = document.getElementById("told");
  const stop = () => live.removeAttribute("data-poll");

  const replace = (fresh) => {
    const shown = document.getElementById(fresh.id);
    if (!shown || shown.dataset.version === fresh.dataset.version) return "";
    const part = document.importNode(fresh, true);
    if (shown instanceof HTMLDetailsElement) part.open = shown.open;
    const focused = shown.contains(document.activeElement) ? document.activeElement : null;
    const again = focused?.id || (focused?.matches("summary") ? `#${shown.id} > summary` : "");
    shown.replaceWith(part);
    if (again) (document.getElementById(again) ?? document.querySelector(again.startsWith("#") ? again : "#none"))?.focus({ preventScroll: true });
    const says = part.dataset.says ?? "";
    return says === (shown.dataset.says ?? "") ? "" : says;
  };

  const refresh = async () => {
    const answer = await fetch(location.href, { headers: { "HX-Request": "true", "X-Poll": "1" }, cache: "no-store" });
    const elsewhere = answer.headers.get("HX-Redirect");
    if (elsewhere || answer.status === 404) {
      stop();
      if (told) told.textContent = elsewhere ? "You are no longer signed in." : "The message is no longer kept.";
      if (elsewhere) location.assign(elsewhere);
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const news = [...page.querySelectorAll("[data-part]")].map(replace).filter(Boolean);
    if (told && news.length) told.textContent = news.slice(0, 5).join(". ");
    if (!page.querySelector("#live[data-poll]")) stop();
  };

  live.addEventListener("poll", (event) => event.detail.until(refresh()));
})();
