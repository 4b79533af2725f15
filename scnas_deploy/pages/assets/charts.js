// Draws each chart of the page from the specification beside it; expressions are interpreted, never evaluated.
"use strict";
const CHART_CONFIG = {
  background: null,
  font: 'system-ui, "Segoe UI", Arial, sans-serif',
  view: { stroke: null },
  axis: { labelFontSize: 11, titleFontSize: 12, labelColor: "#4f5b68", titleColor: "#4f5b68", titleFontWeight: 600, gridColor: "#e3e8ed", domainColor: "#9aa6b2", tickColor: "#9aa6b2" },
  legend: { labelFontSize: 11, titleFontSize: 12, labelColor: "#1c2530", titleColor: "#4f5b68" },
};

async function drawChart(figure) {
  const place = figure.querySelector(".chart");
  const spec = JSON.parse(figure.querySelector("script.spec").textContent);
  const whole = {
    width: "container", autosize: { type: "fit-x", contains: "padding" }, ...spec, description: place.dataset.description,
  };
  place.drawn = await vegaEmbed(place, whole, { mode: "vega-lite", renderer: "svg", actions: false, ast: true, config: CHART_CONFIG, tooltip: { disableDefaultStyle: false } });
  const drawing = place.querySelector("svg");
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", place.dataset.description);
}

async function drawCharts() {
  const figures = [...document.querySelectorAll("figure")].filter((each) => each.querySelector("script.spec"));
  await Promise.all(figures.map(drawChart));
  document.documentElement.dataset.charts = "drawn";
}
drawCharts();
