// What pages do beside htmx: copy, open dialogs, ask again, send forms once, and tell what went wrong.
// Everything here improves a page that works without it.
"use strict";
(() => {
  const LONGEST_PAUSE_MS = 30_000;
  const SENT_ONCE_MS = 10_000;
  const SHOWN_MS = 2_000;
  const root = document.documentElement;
  root.classList.add("js");

  const tell = (text) => {
    const told = document.getElementById("told");
    if (told) told.textContent = text;
  };

  // Copying: `data-copy` is the text, or the id of an element that has it.
  const copied = async (button) => {
    const wanted = button.dataset.copy;
    const source = document.getElementById(wanted.replace(/^#/, ""));
    try {
      await navigator.clipboard.writeText(source ? source.value ?? source.textContent.trim() : wanted);
    } catch {
      tell("It could not be copied: select the text and copy it yourself.");
      return;
    }
    tell("Copied.");
    const label = button.querySelector("span") ?? button;
    const before = label.textContent;
    if (before === "Copied") return;
    label.textContent = "Copied";
    setTimeout(() => { label.textContent = before; }, SHOWN_MS);
  };

  // Dialogs: `data-dialog` is the id of a <dialog>; `data-close` stands inside of one.
  document.addEventListener("click", (event) => {
    const at = event.target instanceof Element ? event.target.closest("[data-copy], [data-dialog], [data-close]") : null;
    if (!at) return;
    if ("copy" in at.dataset) {
      if (at.dataset.copy) copied(at);
      return;
    }
    const dialog = "close" in at.dataset ? at.closest("dialog") : document.getElementById(at.dataset.dialog);
    if (!(dialog instanceof HTMLDialogElement)) return;
    event.preventDefault();
    if ("close" in at.dataset) dialog.close();
    else if (!dialog.open) dialog.showModal();
  });

  // Asking again: an element with `data-poll="2000"` gets a `poll` event that often, while somebody can
  // see the page and the answer before is here. What is not asked for by htmx gives its promise to
  // `event.detail.until`. After an error the pause doubles.
  const polled = new WeakMap();
  const stateOf = (element) => {
    if (!polled.has(element)) {
      const every = Math.max(250, Number(element.dataset.poll) || LONGEST_PAUSE_MS);
      polled.set(element, { every, pause: every, due: Date.now() + every, busy: false });
    }
    return polled.get(element);
  };
  const began = (element) => { stateOf(element).busy = true; };
  const ended = (element, well) => {
    const state = stateOf(element);
    state.busy = false;
    state.pause = well ? state.every : Math.min(LONGEST_PAUSE_MS, state.pause * 2);
    state.due = Date.now() + state.pause;
  };
  const ask = () => {
    if (document.hidden) return;
    for (const element of document.querySelectorAll("[data-poll]")) {
      const state = stateOf(element);
      if (state.busy || Date.now() < state.due) continue;
      state.due = Date.now() + state.pause;
      const until = (promise) => {
        began(element);
        promise.then(() => ended(element, true), () => ended(element, false));
      };
      element.dispatchEvent(new CustomEvent("poll", { detail: { until } }));
    }
  };
  setInterval(ask, 250);
  document.addEventListener("visibilitychange", ask);

  // Forms are sent once: their buttons rest for ten seconds, or until the page is shown again.
  const resting = new Map();
  const buttonsOf = (form) => [...form.elements].filter((each) => each.type === "submit");
  const wake = (form) => {
    clearTimeout(resting.get(form));
    resting.delete(form);
    for (const button of buttonsOf(form)) button.removeAttribute("aria-disabled");
  };
  const rest = (form) => {
    clearTimeout(resting.get(form));
    resting.set(form, setTimeout(() => wake(form), SENT_ONCE_MS));
    for (const button of buttonsOf(form)) button.setAttribute("aria-disabled", "true");
  };
  document.addEventListener("submit", (event) => {
    if (!resting.has(event.target)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);
  document.addEventListener("submit", (event) => {
    if (!event.defaultPrevented && event.target.getAttribute("method")?.toLowerCase() === "post") rest(event.target);
  });
  window.addEventListener("pageshow", () => { for (const form of [...resting.keys()]) wake(form); });

  // What htmx was refused is told at the head of the page, in the server's words.
  const trouble = (text) => {
    const line = document.getElementById("trouble");
    if (!line || (line.textContent === text && line.hidden === !text)) return;
    line.hidden = !text;
    line.textContent = text;
  };
  let asking = null;
  const refused = (element, text) => {
    asking = element;
    trouble(text);
  };
  // What is asked again by itself does not keep a session from ending: nobody may sit there.
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if ("poll" in detail.elt.dataset) detail.headers["X-Poll"] = "1";
  });
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if ("poll" in detail.elt.dataset) began(detail.elt);
    if (detail.elt instanceof HTMLFormElement && detail.requestConfig.verb !== "get") rest(detail.elt);
  });
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if ("poll" in detail.elt.dataset) ended(detail.elt, detail.successful);
    if (resting.has(detail.elt)) wake(detail.elt);
    if (detail.successful && (asking === detail.elt || !asking?.isConnected)) refused(null, "");
  });
  document.addEventListener("htmx:responseError", ({ detail }) => {
    const type = detail.xhr.getResponseHeader("Content-Type") ?? "";
    const page = type.startsWith("text/html") ? new DOMParser().parseFromString(detail.xhr.responseText, "text/html") : null;
    const words = page?.querySelector("[data-detail]")?.textContent.trim();
    refused(detail.elt, words || `The server answered ${detail.xhr.status}. Try again in a moment.`);
  });
  document.addEventListener("htmx:sendError", ({ detail }) => {
    refused(detail.elt, "The server cannot be reached. What is shown may be out of date.");
  });

  // On arrival: what is wrong with a form is read first; a notice is not told again by a reload.
  document.querySelector(".error-summary")?.focus();
  const here = new URL(location.href);
  if (here.searchParams.has("notice")) {
    here.searchParams.delete("notice");
    history.replaceState(history.state, "", here);
  }

  // Where a box scrolls, a keyboard must reach it.
  const reachable = (box) => {
    const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
    if (!scrolls || box.hasAttribute("tabindex")) return;
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", box.querySelector("caption")?.textContent.trim() || "Scrolls sideways");
  };
  const look = () => { for (const box of document.querySelectorAll(".scroll, pre")) reachable(box); };
  look();
  window.addEventListener("resize", look);
  document.addEventListener("htmx:afterSettle", look);
})();
