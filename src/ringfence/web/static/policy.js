// The progress of a what-if: asked for until it is done, then its part of the page is fetched anew; the note stays.
"use strict";

const pause = (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds));

async function renewed(part) {
  const answer = await fetch("/policy/review", { headers: { Accept: "text/html", "Ringfence-Renewing": "1" }, credentials: "same-origin" });
  if (!answer.ok || new URL(answer.url).pathname !== "/policy/review") { location.reload(); return; }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("whatif");
  if (!fresh) { location.reload(); return; }
  part.replaceWith(fresh);
  localTimes(fresh);
  fresh.dispatchEvent(new CustomEvent("renewed", { bubbles: true }));
  const told = document.getElementById("whatif-told");
  told.textContent = [...fresh.querySelectorAll("h3, .flash")].map((line) => line.textContent.trim()).join(". ");
}

async function follow(part) {
  const bar = part.querySelector("progress"), percent = part.querySelector("#percent");
  while (part.isConnected) {
    const answer = await fetch("/policy/whatif", { credentials: "same-origin" }).catch(() => null);
    if (answer && answer.redirected) { location.reload(); return; }
    if (answer && answer.ok) {
      const state = await answer.json();
      if (state.status !== "running") { await renewed(part); return; }
      bar.value = state.progress;
      percent.textContent = Math.floor(state.progress * 100);
    }
    await pause(answer ? 300 : 3000);
  }
}

const job = document.querySelector("#whatif[data-job=running]");
if (job) follow(job);
