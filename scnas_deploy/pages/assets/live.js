// Keeps a page of a run up to date: asks its server for the run's state and, where that has changed, replaces the
// page's content in place, so that the reader stays where they are.
"use strict";
const POLL_MILLISECONDS = 3000;
const WORDS_MILLISECONDS = 30000;
const live = { failures: 0, saidAt: 0, condition: null };
function say(words) {
  document.getElementById("live").textContent = words;
}

// How far the run is, for readers who hear it: at a change of its state, else twice a minute at most.
function sayState() {
  const run = document.getElementById("run").dataset;
  const now = Date.now();
  if (run.condition === live.condition && now - live.saidAt < WORDS_MILLISECONDS) return;
  Object.assign(live, { saidAt: now, condition: run.condition });
  say(`Live. ${run.said}.`);
}

// Each section keeps its height until its charts are drawn, so that nothing jumps.
function holdHeights(before, after) {
  before.querySelectorAll("figure[id]").forEach((figure) => {
    const place = after.querySelector(`#${CSS.escape(figure.id)} .chart`);
    if (place) place.style.minHeight = `${figure.querySelector(".chart").offsetHeight}px`;
  });
  before.querySelectorAll("details[open]").forEach((open) => {
    const parent = open.closest("section");
    after.querySelector(`#${CSS.escape(parent.id)} details`)?.setAttribute("open", "");
  });
}

function shownEpoch() {
  const slider = document.getElementById("heat-epoch");
  if (!slider || slider.value === slider.max) return null;
  return JSON.parse(document.getElementById("heat-frames").textContent).epochs[Number(slider.value)];
}

async function replaceContent(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const [before, after] = [document.getElementById("run"), fresh.getElementById("run")];
  const [focused, epoch, y] = [document.activeElement?.id, shownEpoch(), window.scrollY];
  holdHeights(before, after);
  before.querySelectorAll(".chart").forEach((place) => place.drawn?.finalize()); // they would go on listening
  document.querySelector(".top .facts").replaceWith(fresh.querySelector(".top .facts"));
  before.replaceWith(after);
  if (typeof startHeatMaps === "function") startHeatMaps(epoch);
  window.scrollTo(0, y);
  if (focused && focused !== document.activeElement?.id) document.getElementById(focused)?.focus({ preventScroll: true });
  await drawCharts();
}

async function fetchText(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.text();
}

async function refresh() {
  try {
    const version = await fetchText("state");
    if (version !== document.getElementById("run").dataset.version) await replaceContent(await fetchText("./"));
    live.failures = 0;
    sayState();
  } catch {
    live.failures += 1;
    if (live.failures === 3) say("Not live any more: the command that showed this page has ended.");
  }
  if (live.failures < 3) setTimeout(refresh, POLL_MILLISECONDS);
}
refresh();
