// Turns the pages of the heat maps: one frame of ten-thousandths an epoch, shown in the tables' cells.
"use strict";
const FRAME_MILLISECONDS = 250;
const heat = { frames: null, whole: 1, epochs: [], timer: null };

function showFrame(number) {
  document.querySelectorAll("#heat table").forEach((table, cell) => {
    table.tBodies[0].querySelectorAll("tr").forEach((row, edge) => {
      const values = heat.frames[number][cell][edge];
      const strongest = values.indexOf(Math.max(...values));
      row.querySelectorAll("td").forEach((square, operation) => {
        square.style.setProperty("--share", values[operation] / heat.whole);
        square.textContent = Math.round((100 * values[operation]) / heat.whole);
        square.classList.toggle("strongest", operation === strongest);
      });
    });
  });
  const slider = document.getElementById("heat-epoch");
  slider.value = number;
  slider.setAttribute("aria-valuetext", `epoch ${heat.epochs[number]}`);
  document.getElementById("heat-shown").textContent = `${heat.epochs[number]} of ${heat.epochs.at(-1)}`;
}

function stopPlaying() {
  clearInterval(heat.timer);
  heat.timer = null;
  const button = document.getElementById("heat-play");
  if (button) button.textContent = "Play";
}

function play() {
  if (heat.timer) return stopPlaying();
  const slider = document.getElementById("heat-epoch");
  if (Number(slider.value) === heat.frames.length - 1) showFrame(0);
  document.getElementById("heat-play").textContent = "Pause";
  heat.timer = setInterval(() => {
    const next = Number(document.getElementById("heat-epoch").value) + 1;
    if (next < heat.frames.length) showFrame(next);
    else stopPlaying();
  }, FRAME_MILLISECONDS);
}

// Called again when a live page has been replaced; `shown` is the epoch to stay at, or null for the latest.
function startHeatMaps(shown = null) {
  const playing = heat.timer !== null;
  stopPlaying();
  const data = document.getElementById("heat-frames");
  if (!data) return;
  Object.assign(heat, JSON.parse(data.textContent));
  const place = heat.epochs.indexOf(shown);
  document.querySelector("#heat .turn").hidden = false;
  document.getElementById("heat-epoch").addEventListener("input", (event) => {
    stopPlaying();
    showFrame(Number(event.target.value));
  });
  document.getElementById("heat-play").addEventListener("click", play);
  showFrame(place < 0 ? heat.frames.length - 1 : place);
  if (playing) play();
}
startHeatMaps();
