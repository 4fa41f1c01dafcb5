// What the pages do by themselves where scripts may run; everything else works without.
"use strict";

// --- times in the reader's zone; the exact time (UTC) stays in the title

const zoned = new Intl.DateTimeFormat(document.documentElement.lang || "en", {
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const parts = Object.fromEntries(zoned.formatToParts(new Date(time.dateTime)).map((part) => [part.type, part.value]));
    const text = `${parts.year}-${parts.month}-${parts.day} ${parts.hour}:${parts.minute}:${parts.second}`;
    if (time.textContent !== text) time.textContent = text;
  }
}

function countDown() {
  for (const place of document.querySelectorAll("[data-countdown]")) {
    const left = Math.max(0, Math.round((new Date(place.dataset.countdown) - Date.now()) / 1000));
    place.textContent = place.dataset.words.replace("#", left);
  }
}

// --- live parts: elements with `data-live` name the topics that they show

let asking = false;
let waiting = new Set();
let lastTook = 0;

function busy(part) {
  const selection = document.getSelection();
  const reading = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  const typing = part.contains(document.activeElement) && document.activeElement.matches("input:not([type=checkbox]), select, textarea");
  return reading || typing;
}

// What the reader did to a part stays: ticked boxes, opened details, typed text.
const keep = {
  beforeAttributeUpdated(name, node) {
    return !(["checked", "open", "value", "selected"].includes(name) && node.matches("input, details, option"));
  },
  beforeNodeMorphed(before, after) {
    if (before.nodeName === "TIME" && after.nodeName === "TIME" && before.dateTime === after.dateTime) return false;
    return !(before.nodeType === 1 && before.hasAttribute("data-still"));
  },
};

async function renew() {
  const parts = [...document.querySelectorAll("[data-live]")].filter((part) =>
    part.dataset.live.split(" ").some((topic) => waiting.has(topic)) && !busy(part));
  const left = [...document.querySelectorAll("[data-live]")].filter(busy);
  if (asking || !parts.length) return;
  asking = true;
  waiting = new Set(left.flatMap((part) => part.dataset.live.split(" ")).filter((topic) => waiting.has(topic)));
  const begun = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "Ringfence-Renewing": "1" }, credentials: "same-origin" });
    if (answer.redirected && new URL(answer.url).pathname === "/login") { location.reload(); return; }
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts) {
        const fresh = part.id && page.getElementById(part.id);
        if (!fresh) continue;
        localTimes(fresh);
        Idiomorph.morph(part, fresh, { morphStyle: "outerHTML", ignoreActiveValue: true, callbacks: keep });
        part.dispatchEvent(new CustomEvent("renewed", { bubbles: true }));
      }
    }
  } catch { /* the stream tells when the server is back */ } finally {
    asking = false;
    lastTook = performance.now() - begun;
    if (waiting.size) later();
  }
}

let timer = 0;
function later() {
  // The slower the answers, the rarer the questions.
  if (!timer) timer = setTimeout(() => { timer = 0; renew(); }, Math.max(400, lastTook * 5));
}

function listen() {
  const main = document.querySelector("main[data-updates]");
  if (!main || !document.querySelector("[data-live]") || !window.EventSource) return;
  const told = document.getElementById("live");
  const stream = new EventSource("/live");
  let lost = false;
  stream.addEventListener("open", () => {
    if (lost) { for (const part of document.querySelectorAll("[data-live]")) part.dataset.live.split(" ").forEach((topic) => waiting.add(topic)); later(); }
    lost = false;
    told.textContent = told.dataset.on;
  });
  stream.addEventListener("changed", (event) => { event.data.split(" ").forEach((topic) => waiting.add(topic)); later(); });
  stream.addEventListener("ended", () => { stream.close(); told.textContent = told.dataset.ended; });
  stream.addEventListener("error", () => { lost = true; told.textContent = told.dataset.lost; });
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

// --- checks as one types: fields with `data-check` are asked about at the server that knows the ranges

const checking = new WeakMap();
function checkField(field) {
  clearTimeout(checking.get(field));
  field.setCustomValidity("");  // what was wrong with the text before must not hold the form back
  const value = field.value;
  checking.set(field, setTimeout(async () => {
    const query = new URLSearchParams({ key: field.dataset.check, value });
    const answer = await fetch(`/policy/check?${query}`, { credentials: "same-origin" }).catch(() => null);
    if (!answer || !answer.ok || answer.redirected) return;
    const wrong = await answer.text();
    if (field.value !== value) return;
    field.setCustomValidity(wrong);
    field.setAttribute("aria-invalid", wrong ? "true" : "false");
    const place = document.getElementById(field.getAttribute("aria-describedby") || "");
    if (place) place.textContent = wrong;
  }, 250));
}

// --- small comforts

function ready() {
  localTimes(document);
  const menu = document.querySelector("details[data-wide-open]");
  const wide = matchMedia("(min-width: 60rem)");
  const unfold = () => { if (menu) menu.open = wide.matches; };
  unfold();
  wide.addEventListener("change", unfold);
  listen();
  setInterval(countDown, 1000);
  countDown();
  document.addEventListener("input", (event) => { if (event.target.matches("[data-check]")) checkField(event.target); });
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches("input[data-all]")) {
      for (const one of document.querySelectorAll(`input[name="${box.dataset.all}"]`)) one.checked = box.checked;
    }
    if (box.matches("#theme, [data-submit]")) box.form.requestSubmit();
  });
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready); else ready();
