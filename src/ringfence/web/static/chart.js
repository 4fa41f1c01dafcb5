// The chart of attempts: stacked by service, bans marked on it. Drag or + and - zoom (finer data is fetched), hover or
// arrows tell the values. The table beside it tells the same; without this script it is all there is.
"use strict";

(() => {
  const place = document.getElementById("chart");
  if (!place || !window.uPlot) return;
  const COLOURS = 8;
  const language = document.documentElement.lang || "en";
  const hidden = new Set();
  let data = null;
  let plot = null;
  let zoomed = null;
  let loaded = 0;

  const element = (name, attributes, parent) => {
    const made = Object.assign(document.createElement(name), attributes);
    if (parent) parent.append(made);
    return made;
  };
  place.hidden = false;
  place.tabIndex = 0;
  place.setAttribute("role", "group");
  place.setAttribute("aria-label", place.dataset.label);
  place.setAttribute("aria-describedby", "chart-help");
  const picture = element("div", { className: "plot" }, place);
  const readout = element("ul", { className: "readout" }, place);
  const help = element("p", { className: "quiet", id: "chart-help", textContent: place.dataset.help }, place);
  const whole = element("button", { type: "button", className: "small", textContent: place.dataset.whole, hidden: true });
  help.before(whole);
  const spoken = element("p", { className: "hidden-label" }, place);
  spoken.setAttribute("aria-live", "polite");

  const style = (name) => getComputedStyle(place).getPropertyValue(name).trim();
  const colour = (at) => style(`--c${Math.min(at, COLOURS - 1)}`);
  const number = (value) => value.toLocaleString(language, { maximumFractionDigits: value < 10 ? 1 : 0 });
  const pad = (value) => String(value).padStart(2, "0");
  function when(seconds) {
    const at = new Date(seconds * 1000);
    return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${pad(at.getHours())}:${pad(at.getMinutes())}`;
  }

  // The marks of the axis: the time of day, and the day where a new one begins or where only days are told.
  function marks(u, values, axis, space, step) {
    let day = "";
    return values.map((seconds) => {
      const [date, time] = when(seconds).split(" ");
      const text = step >= 86400 ? date.slice(5) : date === day ? time : `${time}\n${date.slice(5)}`;
      day = date;
      return text;
    });
  }

  // Attempts per minute; the last slot is not over yet.
  function rate(count, at) {
    const over = Math.min(data.step, data.until - data.times[at]);
    return (count * 60) / Math.max(over, data.step / 4);
  }

  // From below: each line is the sum of its own service and those under it; the highest is drawn first.
  function stacked() {
    const sums = data.times.map(() => 0);
    const lines = data.services.map((line) => {
      if (!hidden.has(line.name)) line.counts.forEach((count, at) => { sums[at] += rate(count, at); });
      return hidden.has(line.name) ? data.times.map(() => null) : sums.slice();
    });
    // The last slot ends where one more would begin.
    const ends = (line) => [...line, line.at(-1)];
    return [[...data.times, data.times.at(-1) + data.step], ...lines.reverse().map(ends)];
  }

  function markBans(u) {
    const { ctx, bbox } = u;
    const size = 5 * devicePixelRatio;
    ctx.save();
    ctx.fillStyle = style("--bad");
    data.bans.forEach((bans, at) => {
      if (!bans) return;
      const x = u.valToPos(data.times[at] + data.step / 2, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) return;
      ctx.beginPath();
      ctx.moveTo(x - size, bbox.top - 2 * size);
      ctx.lineTo(x + size, bbox.top - 2 * size);
      ctx.lineTo(x, bbox.top - size / 2);
      ctx.fill();
    });
    ctx.restore();
  }

  function draw() {
    if (plot) plot.destroy();
    const axis = { stroke: style("--ink"), grid: { stroke: style("--line"), width: 1 }, ticks: { stroke: style("--line") } };
    const series = data.services.map((line, at) => ({
      label: line.name, stroke: style("--paper"), width: 1, fill: colour(at), points: { show: false },
      paths: uPlot.paths.stepped({ align: 1 }),
    })).reverse();
    plot = new uPlot({
      width: picture.clientWidth || 600, height: 280, padding: [14, 12, 0, 0], legend: { show: false }, series: [{}, ...series],
      scales: { x: { time: true }, y: { range: (u, low, high) => [0, Math.max(1, high * 1.08)] } },
      axes: [{ ...axis, size: 46, space: 64, values: marks }, { ...axis, size: 56, values: (u, marks) => marks.map((mark) => mark.toLocaleString(language)) }],
      cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false } },
      hooks: {
        draw: [markBans],
        setCursor: [(u) => tell(u.cursor.idx)],
        setSelect: [(u) => {
          if (u.select.width < 4) return;
          load(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
        }],
      },
    }, stacked(), picture);
    plot.over.addEventListener("dblclick", () => load());
    tell(null);
  }

  // The values under the cursor; without one, of the whole time.
  function tell(at) {
    if (!data) return;
    const some = at === null || at === undefined ? null : Math.min(at, data.times.length - 1);
    const text = some === null ? `${when(data.since)} – ${when(data.until)}` : `${when(data.times[some])} – ${when(Math.min(data.times[some] + data.step, data.until))}`;
    if (readout.childElementCount !== data.services.length + 2) legend();
    const parts = [...readout.children];
    parts[0].textContent = text;
    let words = text;
    data.services.forEach((line, number_) => {
      const value = some === null ? line.total : line.counts[some];
      parts[number_ + 1].querySelector(".value").textContent = value.toLocaleString(language);
      if (value) words += `; ${line.name} ${value}`;
    });
    const bans = some === null ? data.bans.reduce((sum, count) => sum + count, 0) : data.bans[some];
    parts.at(-1).textContent = `▼ ${place.dataset.bans}: ${bans.toLocaleString(language)}`;
    return `${words}; ${place.dataset.bans} ${bans}`;
  }

  function legend() {
    readout.replaceChildren();
    element("li", { className: "when" }, readout);
    data.services.forEach((line, at) => {
      const item = element("li", {}, readout);
      const button = element("button", { type: "button" }, item);
      const swatch = element("span", { className: "swatch" }, button);
      swatch.style.background = colour(at);
      element("span", { textContent: line.name }, button);
      element("span", { className: "value" }, button);
      button.setAttribute("aria-pressed", String(!hidden.has(line.name)));
      button.addEventListener("click", () => {
        if (!hidden.delete(line.name)) hidden.add(line.name);
        button.setAttribute("aria-pressed", String(!hidden.has(line.name)));
        draw();
      });
    });
    element("li", { className: "bans" }, readout);
  }

  async function load(since, until) {
    const url = new URL(place.dataset.chart, location.href);
    if (since !== undefined) {
      url.searchParams.set("since", since);
      url.searchParams.set("until", until);
    }
    const answer = await fetch(url, { credentials: "same-origin" }).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) return;
    const names = data && data.services.map((line) => line.name).join();
    data = await answer.json();
    loaded = performance.now();
    zoomed = since === undefined ? null : [since, until];
    whole.hidden = !zoomed;
    if (!plot || names !== data.services.map((line) => line.name).join()) {
      if (data.services.length) legend();
    }
    draw();
  }

  whole.addEventListener("click", () => { load(); place.focus(); });
  place.addEventListener("keydown", (event) => {
    if (!plot || event.target !== place || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = data.times.length - 1;
    const at = plot.cursor.idx;
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move) {
      const next = Math.min(last, Math.max(0, at === null || at === undefined ? last : at + move));
      plot.setCursor({ left: plot.valToPos(data.times[next], "x") + 0.5, top: 20 });
      spoken.textContent = tell(next);
    } else if (event.key === "+" || event.key === "-") {
      const middle = at === null || at === undefined ? (data.since + data.until) / 2 : data.times[at];
      const half = ((data.until - data.since) / 2) * (event.key === "+" ? 0.4 : 2.5);
      load(middle - half, middle + half);
    } else if (event.key === "0") load();
    else return;
    event.preventDefault();
  });
  document.addEventListener("renewed", (event) => {
    if (event.target.id === "figures" && !zoomed && performance.now() - loaded > 2000 && !place.matches(":hover")) load();
  });
  new ResizeObserver(() => { if (plot && picture.clientWidth) plot.setSize({ width: picture.clientWidth, height: 280 }); }).observe(picture);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (data) { legend(); draw(); } });
  document.getElementById("chart-table").open = false;
  load();
})();
