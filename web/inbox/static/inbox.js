// Keeps the list up to date: asks for it once it differs from what is shown, and waits meanwhile.
"use strict";
(async () => {
  const list = document.getElementById("list");
  const news = document.getElementById("news");
  let version = list.dataset.version;
  let pause = 0;
  for (;;) {
    if (document.hidden) {
      await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
    }
    const query = new URLSearchParams({ version, q: list.dataset.search });
    try {
      const answer = await fetch(`${list.dataset.source}?${query}`);
      if (answer.status === 200) {
        const focused = document.activeElement?.getAttribute("href");
        list.innerHTML = await answer.text();
        version = list.querySelector("[data-version]").dataset.version;
        if (focused) list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
        news.textContent = list.querySelector(".count")?.textContent ?? "No mail.";
      } else if (answer.status !== 204) {
        throw new Error(String(answer.status));
      }
      pause = 0;
    } catch {
      pause = Math.min(pause * 2 || 500, 8000);
      await new Promise((done) => setTimeout(done, pause));
    }
  }
})();
