// The page of a message: keeps the draft, shows the preview, uploads files one by one.
"use strict";
(() => {
  const form = document.getElementById("compose");
  if (!form) return;
  const id = (name) => document.getElementById(name);
  const make = (name, properties = {}) => Object.assign(document.createElement(name), properties);
  const headers = () => ({ "X-CSRF": form.elements.csrf.value });
  document.querySelectorAll(".script-hidden").forEach((each) => { each.hidden = true; });

  // Keeping and preview.
  const details = id("preview"), body = id("preview-body"), kept = id("kept");
  let timer = 0, kept_text = "", running = false, again = false, over = false;
  const typed = () => {
    const fields = new FormData(form);
    fields.delete("files");
    return new URLSearchParams(fields);
  };
  // Whoever has signed in again, in another window, goes on here with the forms' new token.
  const renew = async () => {
    const answer = await fetch("/console/compose");
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = answer.ok && page.querySelector("#compose [name=csrf]")?.value;
    if (!token || token === form.elements.csrf.value) return false;
    form.elements.csrf.value = token;
    return true;
  };
  const visible = () => details.open && !document.hidden;
  const keep = async () => {
    if (over) return;
    if (running) { again = true; return; }
    const fields = typed(), text = fields.toString(), wanted = visible();
    if (text === kept_text && !(wanted && details.dataset.shown !== text)) return;
    running = true;
    try {
      const path = wanted ? "/console/compose/preview" : "/console/compose/save";
      const ask = () => fetch(path, { method: "POST", headers: headers(), body: fields });
      let answer = await ask();
      if ((answer.redirected || answer.status === 403) && await renew()) answer = await ask();
      if (answer.redirected || answer.status === 403) kept.textContent = "Not kept: sign in again in another window, then go on here.";
      else if (!answer.ok) kept.textContent = "Not kept: the server does not answer as it should. It is tried again.";
      else if (wanted) {
        body.innerHTML = await answer.text();
        const note = body.querySelector("[data-note]");
        kept.textContent = note ? note.textContent : "";
        if (note) note.remove();
        details.dataset.shown = kept_text = text;
      } else {
        kept.textContent = (await answer.json()).note;
        kept_text = text;
      }
    } catch { kept.textContent = "Not kept: there is no connection. It is tried again."; }
    running = false;
    if (again) { again = false; later(); }
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(keep, visible() ? 500 : 2000);
  };
  form.addEventListener("input", later);
  form.addEventListener("change", later);
  details.addEventListener("toggle", keep);
  document.addEventListener("visibilitychange", keep);
  if (matchMedia("(min-width: 1100px)").matches) details.open = true;

  // Plain text only.
  const plain = id("plain"), html_field = id("html-field"), text = id("text"), help = id("text-help");
  const choose = async (asked) => {
    html_field.hidden = help.hidden = plain.checked;
    if (!asked || !plain.checked || text.value.trim()) return;
    const answer = await fetch("/console/compose/text", { method: "POST", headers: headers(), body: new URLSearchParams({ html: form.elements.html.value }) });
    if (answer.ok && !answer.redirected) text.value = (await answer.json()).text;
    later();
  };
  plain.addEventListener("change", () => choose(true));
  choose(false);
  const from_page = make("button", { type: "button", className: "button button-quiet", textContent: "Make it of the message, to change it" });
  from_page.addEventListener("click", async () => {
    if (text.value.trim() && !confirm("Replace the plain text?")) return;
    text.value = "";
    const answer = await fetch("/console/compose/text", { method: "POST", headers: headers(), body: new URLSearchParams({ html: form.elements.html.value }) });
    if (answer.ok && !answer.redirected) text.value = (await answer.json()).text;
    text.focus();
    later();
  });
  help.append(" ", from_page);

  // When.
  const at = form.elements.send_at, time = at.closest(".field");
  const timed = () => { time.hidden = form.elements.when.value !== "at"; };
  form.querySelectorAll("[name=when]").forEach((each) => each.addEventListener("change", timed));
  timed();

  // Files.
  const list = id("attached"), input = id("files"), said = id("files-said"), drop = id("drop");
  const most_files = Number(form.dataset.mostFiles), most_bytes = Number(form.dataset.mostBytes);
  let uploads = 0;
  const size = (bytes) => (bytes >= 1048576 ? `${(bytes / 1048576).toFixed(1)} MB` : bytes >= 1024 ? `${(bytes / 1024).toFixed(1)} KB` : `${bytes} B`);
  const all_bytes = () => [...list.children].reduce((sum, each) => sum + Number(each.dataset.size || 0), 0);
  const failed = (row, name, why) => {
    row.className = "file-wrong";
    delete row.dataset.size;
    const drop_it = make("button", { type: "button", className: "button button-quiet", textContent: "Close" });
    drop_it.setAttribute("aria-label", `Close: ${name}`);
    drop_it.addEventListener("click", () => row.remove());
    row.replaceChildren(make("span", { className: "file-name", textContent: name }), make("span", { className: "wrong", textContent: why }), drop_it);
    said.textContent = `${name}: ${why}`;
  };
  const done = (row, file) => {
    row.dataset.file = file.id;
    const button = make("button", { className: "button button-quiet", name: "do", value: `remove:${file.id}`, textContent: "Remove" });
    button.setAttribute("aria-label", `Remove ${file.name}`);
    row.replaceChildren(make("span", { className: "file-name", textContent: file.name }), make("span", { className: "note", textContent: size(file.size) }), button);
    said.textContent = `${file.name} is attached.`;
    details.dataset.shown = "";
    later();
  };
  const upload = (file) => {
    const row = make("li");
    list.append(row);
    if (list.children.length > most_files) return failed(row, file.name, `A message may have ${most_files} attachments.`);
    if (all_bytes() + file.size > most_bytes) return failed(row, file.name, `Too large: all attachments together may have ${size(most_bytes)}.`);
    row.dataset.size = file.size;
    const bar = make("progress", { max: file.size || 1, value: 0 });
    bar.setAttribute("aria-label", `Uploading ${file.name}`);
    const stop = make("button", { type: "button", className: "button button-quiet", textContent: "Stop" });
    stop.setAttribute("aria-label", `Stop uploading ${file.name}`);
    row.append(make("span", { className: "file-name", textContent: file.name }), bar, stop);
    const request = new XMLHttpRequest(), fields = new FormData();
    fields.append("draft", form.elements.draft.value);
    fields.append("file", file);
    uploads += 1;
    request.upload.addEventListener("progress", (event) => { bar.value = Math.min(event.loaded, bar.max); });
    request.addEventListener("loadend", () => {
      uploads -= 1;
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* A page of ours, or nobody's. */ }
      if (request.status === 201) return done(row, answer);
      const words = { 0: "It did not get through. Add it again.", 413: `Too large: all attachments together may have ${size(most_bytes)}.` };
      failed(row, file.name, answer.wrong || words[request.status] || "It was not taken. Reload the page, and add it again.");
    });
    stop.addEventListener("click", () => request.abort());
    request.open("POST", "/console/compose/files");
    request.setRequestHeader("X-CSRF", form.elements.csrf.value);
    request.send(fields);
    return undefined;
  };
  input.addEventListener("change", () => {
    [...input.files].forEach(upload);
    input.value = ""; // They are uploaded already: the form sends none.
  });
  list.addEventListener("click", async (event) => {
    const row = event.target.closest("li[data-file]");
    if (!row || !event.target.matches("button")) return;
    event.preventDefault();
    const fields = new URLSearchParams({ draft: form.elements.draft.value, file: row.dataset.file });
    const answer = await fetch("/console/compose/files/remove", { method: "POST", headers: headers(), body: fields });
    if (!answer.ok || answer.redirected) return;
    said.textContent = `${row.querySelector(".file-name").textContent} is removed.`;
    row.remove();
    input.focus();
    details.dataset.shown = "";
    later();
  });
  for (const name of ["dragover", "dragenter"]) {
    form.addEventListener(name, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      drop.classList.add("drop-over");
    });
  }
  form.addEventListener("dragleave", (event) => { if (!form.contains(event.relatedTarget)) drop.classList.remove("drop-over"); });
  form.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    drop.classList.remove("drop-over");
    [...event.dataTransfer.files].forEach(upload);
  });

  // Sending, once, and not before the files are there.
  form.addEventListener("submit", (event) => {
    if (uploads || over) {
      event.preventDefault();
      kept.textContent = uploads ? "Wait until the files are uploaded." : "";
      return;
    }
    over = true;
    clearTimeout(timer);
  });
  addEventListener("pageshow", () => { over = false; });

  // Mistakes. Going back to this page later asks for the draft, instead of sending the form again.
  if (location.search === "" && id("summary")) {
    history.replaceState(history.state, "", `/console/compose?draft=${form.elements.draft.value}`);
  }
  const place = (name) => id(`${name}-editor`) && !id(`${name}-editor`).hidden ? id(`${name}-editor`) : id(name);
  document.querySelectorAll("#summary a").forEach((each) => each.addEventListener("click", (event) => {
    const target = place(each.hash.slice(1));
    if (!target) return;
    event.preventDefault();
    const folded = target.closest("details");
    if (folded) folded.open = true;
    target.focus();
  }));
})();
