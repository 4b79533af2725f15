// Shows the study of the page in NiiVue, and joins it to the page's controls. Voxels are counted along R, A, S.
"use strict";
const scene = JSON.parse(document.getElementById("settings").textContent);
const AXES = { axial: 2, coronal: 1, sagittal: 0 };
const VIEWS = { axial: 0, coronal: 1, sagittal: 2, all: 3, "3d": 4 };
const SIDES = [["L", "R"], ["P", "A"], ["I", "S"]];
const LEAST_PIXELS = 64;
// Of each plane as it is looked at: left, right, top, bottom.
const LETTERS = [["R", "L", "A", "P"], ["R", "L", "S", "I"], ["A", "P", "S", "I"]];
const PLANES = ["Axial", "Coronal", "Sagittal"];
const KEYS = {
  ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0], PageUp: [0, 0, 1], PageDown: [0, 0, -1],
};
// The mask is drawn as it is, or only where a neighbour in the plane shown is another structure or none.
// NiiVue finds uniforms by their declarations: one a line.
const SLICE_SHADER = `#version 300 es
precision highp int;
precision highp float;
uniform highp sampler3D volume;
uniform highp sampler3D overlay;
uniform float overlayOutlineWidth;
uniform float overlays;
uniform int axCorSag;
in vec3 texPos;
out vec4 color;
bool differs(vec4 here, vec3 away) {
  vec4 there = texture(overlay, texPos + away);
  return there.a < 0.5 * here.a || distance(there.rgb, here.rgb) > 0.1;
}
void main() {
  color = vec4(texture(volume, texPos).rgb, 1.0);
  if (overlays < 1.0) return;
  vec4 mask = texture(overlay, texPos);
  if (overlayOutlineWidth > 0.0 && mask.a > 0.0) {
    vec3 step = overlayOutlineWidth / vec3(textureSize(overlay, 0));
    vec3 u = axCorSag == 2 ? vec3(0.0, step.y, 0.0) : vec3(step.x, 0.0, 0.0);
    vec3 v = axCorSag == 0 ? vec3(0.0, step.y, 0.0) : vec3(0.0, 0.0, step.z);
    if (!(differs(mask, u) || differs(mask, -u) || differs(mask, v) || differs(mask, -v))) mask.a = 0.0;
  }
  color.rgb = mix(color.rgb, mask.rgb, mask.a);
}`;
const LARGEST_MM = Math.max(...[0, 1, 2].map((axis) => scene.shape[axis] * Math.hypot(...scene.affine.slice(0, 3).map((row) => row[axis]))));
const byId = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
let viewer, image, masks;

const nextFrame = () => new Promise(requestAnimationFrame);

// NiiVue draws at once for each of many small changes; without a graphics processor a drawing takes a second.
function drawOnceAFrame() {
  const draw = viewer.drawScene.bind(viewer);
  let asked = false;
  viewer.drawScene = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      if (Math.min(viewer.canvas.width, viewer.canvas.height) < LEAST_PIXELS) return; // a window that is folded up
      draw();
      placeLetters();
    });
  };
}

function fail(message) {
  const place = byId("trouble");
  place.querySelector("p").textContent = message;
  place.hidden = false;
  byId("loading").hidden = true;
  document.documentElement.dataset.viewer = "failed";
}

function opened(element, name, more) {
  const opening = niivue.NVImage.loadFromBase64({ base64: element.textContent.trim(), name, ...more });
  element.remove(); // its text is as large as the image
  return opening;
}

function colorsOf(layer) {
  const channel = (at) => [0, ...layer.structures.map((each) => parseInt(each.color.slice(at, at + 2), 16))];
  return { R: channel(1), G: channel(3), B: channel(5), A: [0, ...layer.structures.map(() => 255)] };
}

async function openAll() {
  const [low, high] = scene.window;
  image = await opened(byId("image"), "study.nii.gz", { colormap: "gray", cal_min: low, cal_max: high });
  masks = [];
  for (const [number, element] of all("script.mask").entries()) {
    const mask = await opened(element, `mask${number}.nii.gz`, { cal_min: 0, cal_max: scene.layers[number].structures.length });
    mask.setColormapLabel(colorsOf(scene.layers[number]));
    mask.whole = mask.img.slice();
    masks.push(mask);
  }
}

// ---- masks

function showMasks() {
  const opacity = byId("opacity") ? Number(byId("opacity").value) / 100 : 0;
  masks.forEach((mask, layer) => {
    const shown = document.querySelector(`.layer-shown[data-layer="${layer}"]`).checked;
    mask.opacity = shown ? opacity : 0;
  });
  if (masks.length) {
    byId("opacity-said").textContent = `${byId("opacity").value} %`;
    viewer.overlayOutlineWidth = byId("outlines").checked ? 1 : 0;
  }
  viewer.updateGLVolume();
}

function showStructures(layer) {
  const kept = [0, ...all(`.structure-shown[data-layer="${layer}"]`).map((box) => (box.checked ? Number(box.dataset.structure) : 0))];
  const { whole, img } = masks[layer];
  for (let voxel = 0; voxel < img.length; voxel++) img[voxel] = kept[whole[voxel]];
  showMasks();
}

// ---- the crosshair

function crosshair() {
  const voxel = viewer.frac2vox(viewer.scene.crosshairPos);
  return [0, 1, 2].map((axis) => Math.min(Math.max(voxel[axis], 0), scene.shape[axis] - 1));
}

function moveTo(voxel) {
  const inside = voxel.map((each, axis) => Math.min(Math.max(each, 0), scene.shape[axis] - 1));
  viewer.scene.crosshairPos = viewer.vox2frac(inside);
  viewer.drawScene();
  sayPosition();
}

function inMillimetres(voxel) {
  return scene.affine.slice(0, 3).map((row) => row[0] * voxel[0] + row[1] * voxel[1] + row[2] * voxel[2] + row[3]);
}

function structuresAt(voxel) {
  const at = voxel[0] + scene.shape[0] * (voxel[1] + scene.shape[1] * voxel[2]);
  const found = masks.map((mask, layer) => {
    const number = mask.opacity > 0 ? mask.img[at] : 0;
    return number ? `${scene.layers[layer].name}: ${scene.layers[layer].structures[number - 1].name}` : "";
  });
  return found.filter(Boolean);
}

function sayPosition() {
  const voxel = crosshair();
  const place = inMillimetres(voxel).map((mm, axis) => {
    const rounded = mm.toFixed(1);
    return scene.orientationKnown ? `${SIDES[axis][Number(rounded) < 0 ? 0 : 1]} ${rounded.replace("-", "")}` : rounded;
  });
  const value = Number(image.getValue(...voxel).toPrecision(6));
  byId("position").textContent = [`${place.join(", ")} mm`, `value ${value}`, ...structuresAt(voxel)].join(" · ");
  all(".slice").forEach((slider) => {
    const axis = Number(slider.dataset.axis);
    slider.value = voxel[axis] + 1;
    slider.nextElementSibling.textContent = `${voxel[axis] + 1} of ${scene.shape[axis]}`;
  });
}

// ---- letters, which on white pixels would be lost without an edge of their own

function placeLetters() {
  const tiles = viewer.screenSlices.filter((tile) => tile.axCorSag in PLANES).map(({ axCorSag, leftTopWidthHeight }) => [axCorSag, ...leftTopWidthHeight.map((each) => each / viewer.uiData.dpr)]);
  const layout = tiles.join();
  if (byId("letters").dataset.layout === layout) return;
  byId("letters").dataset.layout = layout;
  byId("letters").replaceChildren(...tiles.flatMap(lettersOf));
}

function lettersOf([plane, left, top, width, height]) {
  const places = [[left, top + height / 2], [left + width, top + height / 2], [left + width / 2, top], [left + width / 2, top + height]];
  const letters = scene.orientationKnown ? LETTERS[plane] : [];
  return [letter(PLANES[plane], [left, top], 5), ...letters.map((each, side) => letter(each, places[side], side + 1))];
}

function letter(text, [x, y], side) {
  const made = document.createElement("span");
  made.textContent = text;
  made.className = ["", "left", "right", "top", "bottom", "name"][side];
  made.style.left = `${x}px`;
  made.style.top = `${y}px`;
  return made;
}

// ---- the window

const rounded = (value) => Number(value.toPrecision(5));

function showWindow(low, high) {
  image.cal_min = low;
  image.cal_max = high;
  viewer.updateGLVolume();
}

function sayWindow() {
  byId("level").value = rounded((image.cal_max + image.cal_min) / 2);
  byId("width").value = rounded(image.cal_max - image.cal_min);
}

function onWindowTyped() {
  const [level, width] = [byId("level").valueAsNumber, byId("width").valueAsNumber];
  if (!(width > 0) || !Number.isFinite(level)) return;
  byId("preset").value = "own";
  showWindow(level - width / 2, level + width / 2);
}

function onPreset() {
  if (byId("preset").value === "own") return;
  const [level, width] = byId("preset").value.split(",").map(Number);
  if (width) showWindow(level - width / 2, level + width / 2);
  else showWindow(...scene.window);
  sayWindow();
}

// ---- what the reader does

function onKey(event) {
  event.stopPropagation(); // the viewer's own keys would flip views unasked
  const step = KEYS[event.key];
  if (event.type !== "keydown" || !step || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  moveTo(crosshair().map((each, axis) => each + step[axis]));
}

function reset() {
  viewer.setPan2Dxyzmm([0, 0, 0, 1]);
  viewer.setScale(1);
  viewer.setRenderAzimuthElevation(140, 15);
  moveTo(scene.start);
}

function join() {
  const listen = (elements, kind, act) => elements.forEach((each) => each.addEventListener(kind, act));
  listen(all("input[name=view]"), "change", (event) => viewer.setSliceType(VIEWS[event.target.value]));
  listen(all(".layer-shown, #outlines"), "change", () => { showMasks(); sayPosition(); });
  listen(all("#opacity"), "input", showMasks);
  listen(all(".structure-shown"), "change", (event) => { showStructures(Number(event.target.dataset.layer)); sayPosition(); });
  listen(all(".go"), "click", ({ target }) => moveTo(scene.layers[target.dataset.layer].structures[target.dataset.structure - 1].focus));
  listen(all("#level, #width"), "input", onWindowTyped);
  listen([byId("preset")], "change", onPreset);
  listen([byId("reset")], "click", reset);
  listen(all(".slice"), "input", ({ target }) => moveTo(crosshair().map((each, axis) => (axis === Number(target.dataset.axis) ? target.value - 1 : each))));
  for (const kind of ["keydown", "keyup"]) byId("canvas").parentElement.addEventListener(kind, onKey, true);
  viewer.onLocationChange = sayPosition;
  viewer.onIntensityChange = () => { byId("preset").value = "own"; sayWindow(); };
}

async function start() {
  if (!document.createElement("canvas").getContext("webgl2")) {
    fail("This browser shows no WebGL 2, which the pictures need: switch on its hardware acceleration, or take another browser.");
    return;
  }
  viewer = new niivue.Niivue({
    isRadiologicalConvention: true, sagittalNoseLeft: true, isSliceMM: false, isOrientationTextVisible: false, isOrientCube: scene.orientationKnown, multiplanarLayout: niivue.MULTIPLANAR_TYPE.GRID,
    multiplanarShowRender: niivue.SHOW_RENDER.ALWAYS, dragAndDropEnabled: false, show3Dcrosshair: false, logLevel: "error",
    crosshairColor: [0.2, 0.9, 1, 1], crosshairWidthUnit: "mm", crosshairWidth: LARGEST_MM / 300, crosshairGap: 16,
    loadingText: "", tileMargin: 4,
  });
  await viewer.attachToCanvas(byId("canvas"));
  drawOnceAFrame();
  viewer.setCustomSliceShader(SLICE_SHADER);
  await openAll();
  [image, ...masks].forEach((each) => viewer.addVolume(each));
  join();
  showMasks();
  reset();
  sayWindow();
  await nextFrame();
  await nextFrame(); // the first may have been asked for before the last drawing was
  byId("loading").hidden = true;
  document.documentElement.dataset.viewer = "shown";
}
start().catch((error) => fail(`The study could not be shown: ${error.message}`));
