// what pigan adds to trimesh's viewer: the page's colours, arrow keys, the shape without its paint
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const canvas = renderer.domElement;
  const theme = () => { scene.background = new THREE.Color(dark.matches ? 0x1c2026 : 0xf4f4f0); };
  theme();
  // colours hold the light that they were learnt in; clay needs some
  const ambient = new THREE.AmbientLight(0xffffff);
  const light = (bare) => { [ambient.intensity, tracklight.intensity] = bare ? [0.3, 0.7] : [0.75, 0.3]; };
  light(false);
  scene.add(ambient);
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "The mesh of one generated object; arrow keys turn it, plus and minus zoom");
  const draw = () => { if (typeof camera !== "undefined" && camera) render(); };
  dark.addEventListener("change", () => { theme(); draw(); });

  const TURNS = { ArrowLeft: [0, 1], ArrowRight: [0, -1], ArrowUp: [1, 1], ArrowDown: [1, -1] };
  const ZOOMS = { "+": 1 / 1.1, "=": 1 / 1.1, "-": 1.1 };
  canvas.addEventListener("keydown", (event) => {
    const [axis, way] = TURNS[event.key] ?? [];
    const zoom = ZOOMS[event.key];
    if (!camera || (axis === undefined && !zoom)) return;
    event.preventDefault();
    const arm = camera.position.clone().sub(controls.target);
    if (zoom) {
      arm.multiplyScalar(zoom);
    } else {
      const around = axis === 0 ? camera.up.clone() : camera.up.clone().cross(arm).normalize();
      arm.applyAxisAngle(around.normalize(), -way * Math.PI / 24);
      if (axis === 1) camera.up.applyAxisAngle(around, -way * Math.PI / 24);
    }
    camera.position.copy(controls.target).add(arm);
    controls.update();
    draw();
  });

  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Shape only";
  button.setAttribute("aria-pressed", "false");
  button.style.cssText = "position: fixed; right: .6rem; top: .6rem; padding: .3rem .7rem; font: .875rem system-ui, sans-serif; "
    + "color: #1d2329; background: #fcfcfae0; border: 1px solid #59626d; border-radius: 4px; cursor: pointer";
  button.addEventListener("click", () => {
    const bare = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", String(bare));
    light(bare);
    scene.traverse((each) => {
      if (!each.isMesh) return;
      each.material.vertexColors = !bare && "color" in each.geometry.attributes;
      each.material.color.set(bare ? 0xccc7bf : 0xffffff);
      each.material.needsUpdate = true;
    });
    draw();
  });
  document.body.append(button);
})();
