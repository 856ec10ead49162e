// The overview's charts, and its figures every few seconds while somebody can see them. When it is
// time says console.js, by a poll event; the page is whole without this.
"use strict";
(() => {
  const live = document.getElementById("live");
  if (!live || typeof uPlot === "undefined") return;
  const HEIGHT = 220;
  const KEYS = { rates: ["accepted", "delivered", "deferrals", "bounced"],
    outcomes: ["delivered", "deferrals", "bounced", "expired", "suppressed", "cancelled"],
    depths: ["ready", "deferred", "in_flight"] };
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map();
  let etag = "";

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const short = (value) => {
    if (value >= 1e6) return `${+(value / 1e6).toFixed(1)}M`;
    if (value >= 1e4) return `${+(value / 1e3).toFixed(1)}k`;
    return value.toLocaleString("en");
  };
  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);

  // While nobody points at a time, the newest numbers stand below the chart.
  const latest = (values) => values.findLastIndex((each) => each !== null);

  // Each series on top of those before it; a gap stays one.
  const stacked = (columns) => {
    const sums = columns[0].map(() => 0);
    return columns.map((column) => column.map((value, at) => (value === null ? null : (sums[at] += value))));
  };

  const options = (name, labels, plain, points, width) => {
    const bars = name === "outcomes";
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
      font: "12px system-ui, sans-serif" };
    const keys = bars ? KEYS[name].slice().reverse() : KEYS[name];
    const names = bars ? labels.slice().reverse() : labels;
    const series = keys.map((key, at) => {
      const stroke = colour(`--chart-${key}`);
      const own = plain[bars ? keys.length - 1 - at : at];
      const told = (plot, value, series, index) => {
        const found = own[index ?? latest(own)];
        return found === null || found === undefined ? "–" : found.toLocaleString("en");
      };
      return bars
        ? { label: names[at], stroke, fill: stroke, width: 0, points: { show: false }, value: told, paths: uPlot.paths.bars({ size: [0.75, 60], align: 1 }) }
        : { label: names[at], stroke, width: 2, points: { show: false }, value: told, spanGaps: false };
    });
    return {
      width, height: HEIGHT, legend: { live: true },
      cursor: { drag: { x: false, y: false }, points: { show: !bars } },
      scales: { x: { time: false, range: () => [points.since, points.until] }, y: { range: (plot, low, high) => [0, Math.max(4, high * 1.08 || 4)] } },
      axes: [
        { ...axis, values: (plot, splits) => splits.map(clock), incrs: [300, 600, 900, 1800], space: 64, size: 28 },
        { ...axis, values: (plot, splits) => splits.map((each) => (Number.isInteger(each) ? short(each) : "")), size: 48 },
      ],
      series: [{ label: "At", value: (plot, value) => (value === null || value === undefined ? "latest" : clock(value)) }, ...series],
    };
  };

  const draw = () => {
    const holder = document.getElementById("points");
    const points = JSON.parse(holder.dataset.points);
    for (const element of live.querySelectorAll("[data-chart]")) {
      const name = element.dataset.chart;
      const [times, ...plain] = points[name];
      const data = name === "outcomes" ? [times, ...stacked(plain).reverse()] : [times, ...plain];
      drawn.get(name)?.destroy();
      element.replaceChildren();
      // An empty one is not shown, so has no width: its card has.
      const width = Math.max(200, element.parentElement.clientWidth - 2 * parseFloat(getComputedStyle(element.parentElement).paddingLeft));
      drawn.set(name, new uPlot(options(name, element.dataset.series.split(","), plain, points, width), data, element));
    }
  };

  const resized = new ResizeObserver(() => {
    for (const [name, plot] of drawn) {
      const width = document.getElementById(`chart-${name}`).clientWidth;
      if (width > 0 && Math.abs(width - plot.width) > 1) plot.setSize({ width, height: HEIGHT });
    }
  });

  // The focus stays on the same link, and what is announced is only that something needs somebody.
  const replace = (html) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const focused = document.activeElement?.closest("[data-part]") ? document.activeElement.getAttribute("href") : null;
    const before = live.querySelector("[data-count]")?.dataset.count;
    for (const part of live.querySelectorAll("[data-part]")) {
      const found = page.querySelector(`[data-part="${part.dataset.part}"]`);
      if (!found || found.innerHTML === part.innerHTML) continue;
      const held = focused !== null && part.contains(document.activeElement);
      part.replaceChildren(...found.childNodes);
      if (held) [...part.querySelectorAll("a[href]")].find((each) => each.getAttribute("href") === focused)?.focus({ preventScroll: true });
    }
    const now = live.querySelector("[data-count]")?.dataset.count;
    if (now !== before) {
      document.getElementById("changed").textContent = now === "0" ? "Nothing needs you any more." : `Things that need you: ${now}.`;
    }
    const points = page.getElementById("points");
    const holder = document.getElementById("points");
    if (points && points.dataset.digest !== holder.dataset.digest) {
      Object.assign(holder.dataset, points.dataset);
      draw();
    }
  };

  const told = (text, stale) => {
    const note = document.getElementById("refreshed");
    note.textContent = text;
    note.classList.toggle("stale", stale);
    note.hidden = false;
  };

  const refresh = async () => {
    try {
      const drawn = document.getElementById("points").dataset.digest;
      const answer = await fetch(`${live.dataset.live}?drawn=${drawn}`, { cache: "no-store", redirect: "error", headers: { "X-Poll": "1", ...(etag && { "If-None-Match": etag }) } });
      if (answer.status === 200) {
        etag = answer.headers.get("ETag") ?? "";
        replace(await answer.text());
      } else if (answer.status !== 304) {
        throw new Error(String(answer.status));
      }
      told(`Updated ${new Date().toISOString().slice(11, 19)} UTC`, false);
    } catch (error) {
      told("Not updated: the server does not answer. The figures are from before.", true);
      throw error;
    }
  };

  draw();
  resized.observe(live);
  scheme.addEventListener("change", () => draw());
  live.addEventListener("poll", (event) => event.detail.until(refresh()));
})();
