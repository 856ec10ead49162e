// Ticks all messages of a page at once; forgets a key or a link when the page is left.
"use strict";

for (const all of document.querySelectorAll("[data-tick-all]")) {
  const boxes = () => all.form.querySelectorAll('input[name="id"]');
  all.hidden = false;
  all.addEventListener("change", () => boxes().forEach((box) => { box.checked = all.checked; }));
}

// A page that the browser keeps for "back" must not show it again.
addEventListener("pagehide", () => {
  for (const secret of document.querySelectorAll("[data-secret]")) secret.textContent = "not shown again";
});
