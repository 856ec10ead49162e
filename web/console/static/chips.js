// Addresses as chips: each is checked by the server, and sent as a field of its own. Without this
// script the same fields take addresses with commas between them.
"use strict";
(() => {
  const form = document.getElementById("compose");
  if (!form) return;

  // The same walk as `web.console.typed.split`; `open`: the end is inside quotation marks or <>.
  const walk = (text) => {
    const found = [];
    let start = 0, quoted = false, angle = false, escaped = false;
    for (let at = 0; at < text.length; at += 1) {
      const letter = text[at];
      if (escaped) escaped = false;
      else if (quoted && letter === "\\") escaped = true;
      else if (letter === '"') quoted = !quoted;
      else if (!quoted && (letter === "<" || letter === ">")) angle = letter === "<";
      else if ((letter === "," || letter === ";") && !quoted && !angle) {
        found.push(text.slice(start, at));
        start = at + 1;
      }
    }
    found.push(text.slice(start));
    return { items: found.map((each) => each.trim()).filter(Boolean), open: quoted || angle };
  };

  const make = (name, properties = {}, children = []) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  let waiting = [], timer = 0;
  const ask = (chip) => {
    waiting.push(chip);
    clearTimeout(timer);
    timer = setTimeout(send, 200);
  };
  const send = async () => {
    const chips = waiting.splice(0, 100).filter((chip) => chip.isConnected);
    if (waiting.length) timer = setTimeout(send, 0);
    if (!chips.length) return;
    const body = new URLSearchParams(chips.map((chip) => ["address", chip.dataset.text]));
    body.append("class", form.elements.class.value);
    const headers = { "X-CSRF": form.elements.csrf.value };
    try {
      const answer = await fetch("/console/compose/check-addresses", { method: "POST", headers, body });
      if (!answer.ok || answer.redirected) return; // Whoever sends the form is told.
      (await answer.json()).forEach((said, at) => chips[at].dispatchEvent(new CustomEvent("said", { detail: said })));
    } catch { /* The network is away; the server checks again when it is sent. */ }
  };

  const begin = (entry) => {
    const name = entry.name, label = form.querySelector(`label[for="${entry.id}"]`);
    const word = label.firstChild.textContent.trim();
    const list = make("ul", { className: "chips" });
    list.setAttribute("aria-label", `Addresses in ${word}`);
    const notes = make("div", { className: "chip-notes" });
    notes.setAttribute("role", "status");
    const around = make("div", { className: "chips-field" });
    entry.before(around);
    around.append(list, entry);
    around.after(notes);
    around.addEventListener("click", (event) => { if (event.target === around || event.target === list) entry.focus(); });
    const told = document.getElementById(`${entry.id}-error`);
    const buttons = () => [...list.querySelectorAll("button")];
    const changed = () => {
      notes.replaceChildren(...[...list.children].filter((chip) => chip.dataset.note).map((chip) =>
        make("p", { className: chip.classList.contains("chip-wrong") ? "wrong" : "help", textContent: chip.dataset.note })));
      if (told && notes.querySelector(".wrong")) told.hidden = true; // The notes tell the same.
      form.dispatchEvent(new Event("input"));
    };
    const remove = (chip, back) => {
      const at = buttons().indexOf(chip.querySelector("button"));
      chip.remove();
      const left = buttons();
      (left[Math.max(0, back ? at - 2 : Math.min(at, left.length - 2))] || entry).focus();
      changed();
    };
    const add = (text) => {
      const words = make("button", { type: "button", className: "chip-text", textContent: text, tabIndex: -1 });
      const cross = make("button", { type: "button", className: "chip-remove", textContent: "×", tabIndex: -1 });
      words.setAttribute("aria-label", `Change ${text}`);
      cross.setAttribute("aria-label", `Remove ${text}`);
      const reason = make("span", { className: "hidden" });
      const chip = make("li", { className: "chip" }, [words, reason, cross, make("input", { type: "hidden", name, value: text })]);
      chip.dataset.text = text;
      chip.addEventListener("said", ({ detail }) => {
        chip.classList.toggle("chip-wrong", Boolean(detail.wrong));
        chip.classList.toggle("chip-warn", Boolean(detail.warning));
        chip.dataset.note = reason.textContent = detail.wrong || detail.warning || "";
        changed();
      });
      words.addEventListener("click", () => {
        take();
        chip.remove();
        entry.value = text;
        entry.focus();
        changed();
      });
      cross.addEventListener("click", () => remove(chip, false));
      list.append(chip);
      ask(chip);
    };
    const take = () => {
      const { items } = walk(entry.value);
      if (!items.length) return;
      entry.value = "";
      items.forEach(add);
      changed();
    };
    entry.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      const ready = !walk(entry.value).open;
      if (event.key === "Enter" || ((event.key === "," || event.key === ";") && ready)) {
        event.preventDefault();
        take();
      } else if (event.key === "Tab") take();
      else if (entry.selectionStart === 0 && entry.selectionEnd === 0 && list.lastChild) {
        if (event.key === "Backspace") { event.preventDefault(); remove(list.lastChild, true); entry.focus(); }
        if (event.key === "ArrowLeft") { event.preventDefault(); buttons().at(-2).focus(); }
      }
    });
    entry.addEventListener("blur", take);
    entry.addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text").replace(/[\r\n\t]+/g, ", ");
      if (!/[,;]/.test(text)) return;
      event.preventDefault();
      entry.value += text;
      take();
    });
    list.addEventListener("keydown", (event) => {
      const all = buttons(), at = all.indexOf(document.activeElement);
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length }[event.key];
      if (to !== undefined) { event.preventDefault(); (all[Math.max(0, to)] || entry).focus(); }
      if (event.key === "Backspace" || event.key === "Delete") {
        event.preventDefault();
        remove(document.activeElement.closest("li"), event.key === "Backspace");
      }
    });
    form.elements.class.addEventListener("change", () => [...list.children].forEach(ask));
    const hint = make("span", { className: "hidden", id: `${entry.id}-keys`, textContent: "A comma or Enter ends an address. The arrow keys go through those that are there; Backspace removes one." });
    around.append(hint);
    entry.setAttribute("aria-describedby", `${entry.getAttribute("aria-describedby") || ""} ${hint.id}`.trim());
    take();
    if (entry.autofocus) (list.querySelector("button") || entry).focus();
  };
  form.querySelectorAll("[data-chips]").forEach(begin);
})();
