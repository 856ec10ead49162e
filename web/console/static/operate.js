// Ticks all messages of a page at once; copies a key or a link; forgets it when the page is left.
"use strict";

for (const all of document.querySelectorAll("[data-tick-all]")) {
  const boxes = () => all.form.querySelectorAll('input[name="id"]');
  all.hidden = false;
  all.addEventListener("change", () => boxes().forEach((box) => { box.checked = all.checked; }));
}

for (const button of document.querySelectorAll("[data-copy]")) {
  const secret = document.getElementById(button.dataset.copy);
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(secret.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(secret);
      button.textContent = "Selected: copy it";
    }
  });
}

// A page that the browser keeps for "back" must not show it again.
addEventListener("pagehide", () => {
  for (const secret of document.querySelectorAll("[data-secret]")) secret.textContent = "not shown again";
});
