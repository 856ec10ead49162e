// Pages of passwords: how long the new one is, said while it is typed, and a button to see it. It does
// not leave the page; what counts is the server's answer when the form is sent.
"use strict";
(() => {
  const KINDS = [/\p{Ll}/u, /\p{Lu}/u, /\p{Nd}/u, /[^\p{Ll}\p{Lu}\p{Nd}]/u];

  function judge(text, least, kinds) {
    const length = [...text.normalize("NFC")].length;
    const has = KINDS.filter((kind) => kind.test(text)).length;
    if (length < least) return [length, `${length} of at least ${least} characters.`];
    if (has < kinds) return [least - 1, `Long enough, with ${has} of ${kinds} kinds of characters.`];
    if (new Set(text.toLowerCase()).size < 5) return [least - 1, "Long enough, but too plain."];
    return [length, "Long enough."];
  }

  for (const field of document.querySelectorAll("input[data-least]")) {
    const least = Number(field.dataset.least);
    const line = document.createElement("p");
    line.className = "strength";
    const meter = document.createElement("meter");
    meter.setAttribute("aria-hidden", "true");
    Object.assign(meter, { min: 0, max: least * 1.5, low: least * 0.6, high: least, optimum: least * 1.5 });
    const words = document.createElement("span");
    words.setAttribute("role", "status");
    line.append(meter, words);
    line.hidden = true;
    field.closest(".field").after(line);
    field.addEventListener("input", () => {
      const [value, text] = judge(field.value, least, Number(field.dataset.kinds || 0));
      meter.value = value;
      words.textContent = text;
      line.hidden = field.value === "";
    });
  }

  for (const field of document.querySelectorAll("input[type=password]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button-quiet";
    button.textContent = "Show";
    button.setAttribute("aria-controls", field.id);
    button.setAttribute("aria-label", "Show the password");
    button.addEventListener("click", () => {
      const shown = field.type === "text";
      field.type = shown ? "password" : "text";
      button.textContent = shown ? "Show" : "Hide";
      button.setAttribute("aria-label", shown ? "Show the password" : "Hide the password");
    });
    const both = document.createElement("span");
    both.className = "with-show";
    field.before(both);
    both.append(field, button);
    field.form.addEventListener("submit", () => { field.type = "password"; });
  }

  for (const button of document.querySelectorAll("[data-print]")) {
    button.addEventListener("click", () => window.print());
  }
})();
