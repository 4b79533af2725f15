// Keeps the page up to date: asks for it again every few seconds and puts in the parts that have changed.
"use strict";
const EVERY_MS = 5000;
const SAID_EVERY_MS = 30000;
const live = document.getElementById("live");
const renewed = document.getElementById("renewed");
const pause = document.getElementById("pause");
const WHY = {
  401: "the token is no longer known; load the page again",
  429: "too many wrong tokens came from this address",
  503: "the server or its ledger is busy or away",
};
let isPaused = false;
let saidAt = 0;
let sentence = document.getElementById("said")?.dataset.sentence ?? "";

// Whoever stands on a link or in a table stands there still when the part around it was exchanged.
function exchange(old, fresh) {
  const held = old.contains(document.activeElement) ? document.activeElement : null;
  const places = [...old.querySelectorAll("a, .scroll")];
  const lefts = [...old.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
  const next = document.importNode(fresh, true);
  old.replaceWith(next);
  next.querySelectorAll(".scroll").forEach((each, number) => { each.scrollLeft = lefts[number] ?? 0; });
  if (held) {
    const same = held.id ? document.getElementById(held.id)
      : held.getAttribute("href") ? [...next.querySelectorAll("a")].find((each) => each.getAttribute("href") === held.getAttribute("href"))
        : next.querySelectorAll("a, .scroll")[places.indexOf(held)];
    same?.focus({ preventScroll: true });
  }
}

function isSelecting(part) {
  const selection = document.getSelection();
  return !selection.isCollapsed && part.contains(selection.anchorNode);
}

function putIn(fresh) {
  const main = document.getElementById("main");
  const mine = [...main.querySelectorAll("[data-live]")];
  const theirs = [...fresh.querySelectorAll("[data-live]")];
  if (mine.map((each) => each.id).join() !== theirs.map((each) => each.id).join()) {
    exchange(main, fresh.getElementById("main"));
  } else {
    mine.forEach((each, number) => {
      if (!each.isEqualNode(theirs[number]) && !isSelecting(each)) exchange(each, theirs[number]);
    });
  }
  document.title = fresh.title;
  say(fresh.getElementById("said")?.dataset.sentence ?? "");
}

// A screen reader is told what is new, and no more often than it can be listened to.
function say(text) {
  if (text === sentence || Date.now() - saidAt < SAID_EVERY_MS) return;
  const place = document.getElementById("said");
  if (!place) return;
  place.textContent = text;
  sentence = text;
  saidAt = Date.now();
}

function note(text, isBad) {
  renewed.textContent = text;
  renewed.className = isBad ? "bad" : "";
}

async function renew() {
  if (isPaused || document.hidden) return;
  try {
    const answer = await fetch(location.pathname + location.search, { cache: "no-store", credentials: "same-origin" });
    if (!answer.ok) return note(`Not up to date: ${WHY[answer.status] ?? "this page is not there any more"}`, true);
    putIn(new DOMParser().parseFromString(await answer.text(), "text/html"));
    note(`Updated ${new Date().toLocaleTimeString()}`, false);
  } catch {
    note("Not up to date: the server does not answer", true);
  }
}

pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.textContent = isPaused ? "Go on updating" : "Pause updates";
  note(isPaused ? "Paused" : "", false);
  renew();
});
live.hidden = false;
note(`Updated ${new Date().toLocaleTimeString()}`, false);
async function goOn() {
  await renew();
  setTimeout(goOn, EVERY_MS);
}
setTimeout(goOn, EVERY_MS);
