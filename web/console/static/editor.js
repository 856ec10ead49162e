// The editor of a message's page, over the field with its HTML. The server makes the HTML harmless
// whatever is done here.
"use strict";
(() => {
  const source = document.getElementById("html");
  if (!source) return;
  const label = document.getElementById("html-label");
  label.querySelector(".source-hint").remove();
  const make = (name, properties) => Object.assign(document.createElement(name), properties);
  const page = make("div", { id: "html-editor", className: "editor", contentEditable: "true" });
  page.setAttribute("role", "textbox");
  page.setAttribute("aria-multiline", "true");
  page.setAttribute("aria-labelledby", "html-label");
  for (const name of ["aria-invalid", "aria-describedby"]) {
    if (source.hasAttribute(name)) page.setAttribute(name, source.getAttribute(name));
  }
  const bar = make("div", { className: "toolbar" });
  bar.setAttribute("role", "toolbar");
  bar.setAttribute("aria-label", "Formatting");

  const told = () => {
    source.value = page.innerText.trim() || page.querySelector("img, hr") ? page.innerHTML : "";
    source.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const run = (command, value) => {
    page.focus();
    document.execCommand(command, false, value);
    told();
    state();
  };
  const block = (name) => () => run("formatBlock", document.queryCommandValue("formatBlock").toLowerCase() === name ? "p" : name);
  const link = () => {
    const chosen = getSelection().rangeCount ? getSelection().getRangeAt(0) : null;
    const given = prompt("Where the link leads")?.trim();
    if (!given) return;
    const target = /^(https?:|mailto:|tel:)./i.test(given) ? given : ["https", given].join("://");
    page.focus();
    if (chosen && page.contains(chosen.startContainer)) {
      getSelection().removeAllRanges();
      getSelection().addRange(chosen);
    }
    if (getSelection().isCollapsed) {
      const words = make("a", { href: target, textContent: given });
      run("insertHTML", words.outerHTML);
    } else run("createLink", target);
  };
  const toSource = () => {
    const shown = source.hidden; // Whether the source is to be shown now.
    source.hidden = !shown;
    page.hidden = shown;
    if (!shown) page.innerHTML = tidy(source.value) || "<p><br></p>";
    [...bar.children].slice(0, -1).forEach((button) => { button.disabled = shown; });
    bar.lastChild.setAttribute("aria-pressed", String(shown));
    label.htmlFor = shown ? "html" : "html-editor";
    (shown ? source : page).focus();
  };
  const acts = [
    ["B", "Bold", () => run("bold"), "bold"], ["I", "Italic", () => run("italic"), "italic"],
    ["Link", "Link", link], ["List", "List", () => run("insertUnorderedList"), "insertUnorderedList"],
    ["Heading", "Heading", block("h2")], ["Quote", "Quote", block("blockquote")],
    ["Clear", "Clear the formatting", () => { run("removeFormat"); run("unlink"); run("formatBlock", "p"); }],
    ["HTML", "HTML source", toSource],
  ];
  acts.forEach(([text, name, act, command], at) => {
    const button = make("button", { type: "button", className: "button button-quiet", textContent: text, title: name, tabIndex: at ? -1 : 0 });
    button.setAttribute("aria-label", name);
    if (command || act === toSource) button.setAttribute("aria-pressed", "false");
    if (command) button.dataset.command = command;
    button.addEventListener("mousedown", (event) => event.preventDefault());
    button.addEventListener("click", act);
    bar.append(button);
  });
  bar.addEventListener("keydown", (event) => {
    const all = [...bar.children].filter((each) => !each.disabled), at = all.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = all.at(to % all.length);
    all.forEach((each) => { each.tabIndex = each === next ? 0 : -1; });
    next.focus();
  });
  const state = () => bar.querySelectorAll("[data-command]").forEach((button) =>
    button.setAttribute("aria-pressed", String(document.queryCommandState(button.dataset.command))));

  // What is pasted keeps its structure, and nothing else. The parser's document is inert.
  const KEPT = new Set(["A", "B", "BLOCKQUOTE", "BR", "CODE", "DIV", "EM", "H1", "H2", "H3", "H4", "HR", "I", "LI", "OL", "P", "PRE", "STRONG", "TABLE", "TBODY", "TD", "TH", "THEAD", "TR", "U", "UL"]);
  const DROPPED = new Set(["SCRIPT", "STYLE", "TITLE", "TEMPLATE", "HEAD", "META", "LINK", "SVG", "MATH", "IFRAME", "OBJECT"]);
  const walk = (node, into) => {
    for (const child of node.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) into.append(child.textContent);
      else if (child.nodeType !== Node.ELEMENT_NODE || DROPPED.has(child.tagName.toUpperCase())) continue;
      else if (!KEPT.has(child.tagName)) walk(child, into);
      else {
        const copy = document.createElement(child.tagName);
        const href = child.getAttribute("href") || "";
        if (child.tagName === "A" && /^(https?:|mailto:|tel:)/i.test(href)) copy.setAttribute("href", href);
        walk(child, copy);
        into.append(copy);
      }
    }
  };
  const pasted = (text) => {
    const into = document.createElement("div");
    walk(new DOMParser().parseFromString(text, "text/html").body, into);
    return into.innerHTML;
  };
  // What the server has made harmless, or somebody has typed as source: without what acts.
  const tidy = (text) => {
    const parsed = new DOMParser().parseFromString(text, "text/html");
    parsed.querySelectorAll("script, style, iframe, object, embed, link, meta, base, form, svg, math").forEach((each) => each.remove());
    parsed.querySelectorAll("*").forEach((each) => [...each.attributes].forEach((one) => {
      if (/^on/i.test(one.name) || /^\s*javascript:/i.test(one.value)) each.removeAttribute(one.name);
    }));
    return parsed.body.innerHTML;
  };
  page.addEventListener("paste", (event) => {
    const html = event.clipboardData.getData("text/html");
    if (!html) return; // Plain text: the browser's own way.
    event.preventDefault();
    document.execCommand("insertHTML", false, pasted(html));
  });
  page.addEventListener("input", told);
  document.addEventListener("selectionchange", () => { if (page.contains(getSelection().anchorNode)) state(); });

  document.execCommand("defaultParagraphSeparator", false, "p");
  page.innerHTML = tidy(source.value) || "<p><br></p>";
  source.before(bar, page);
  source.hidden = true;
  label.htmlFor = "html-editor";
  label.addEventListener("click", () => { if (!page.hidden) page.focus(); });
})();
