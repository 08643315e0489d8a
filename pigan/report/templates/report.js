(() => {
  const explorer = document.querySelector("[data-explorer]");
  if (explorer) {
    const stage = explorer.querySelector(".stage");
    const sprite = stage.querySelector("img");
    const yaw = explorer.querySelector("[name=yaw]");
    const pitch = explorer.querySelector("[name=pitch]");
    const yaws = JSON.parse(explorer.dataset.yaws);
    const pitches = JSON.parse(explorer.dataset.pitches);
    const wraps = explorer.dataset.wraps === "true";
    const within = (value, count) => Math.max(0, Math.min(count - 1, value));
    const around = (value, count) => ((value % count) + count) % count;

    const show = (column, row) => {
      column = wraps ? around(column, yaws.length) : within(column, yaws.length);
      row = within(row, pitches.length);
      sprite.style.transform = `translate(${(-100 * column) / yaws.length}%, ${(-100 * row) / pitches.length}%)`;
      yaw.value = column;
      pitch.value = row;
      const words = [`${yaws[column]}°`, `${pitches[row]}°`];
      yaw.nextElementSibling.textContent = words[0];
      pitch.nextElementSibling.textContent = words[1];
      yaw.setAttribute("aria-valuetext", words[0]);
      pitch.setAttribute("aria-valuetext", words[1]);
      stage.setAttribute("aria-label", `One generated object, yaw ${words[0]}, elevation ${words[1]}`);
    };
    const here = () => [Number(yaw.value), Number(pitch.value)];

    yaw.addEventListener("input", () => show(...here()));
    pitch.addEventListener("input", () => show(...here()));
    stage.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      const [column, row] = here();
      show(column + step[0], row + step[1]);
    });
    let grip = null;
    stage.addEventListener("pointerdown", (event) => {
      stage.setPointerCapture(event.pointerId);
      grip = { x: event.clientX, y: event.clientY, at: here() };
    });
    stage.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const size = stage.clientWidth;
      const column = grip.at[0] + Math.round(((event.clientX - grip.x) / size) * yaws.length);
      const row = grip.at[1] - Math.round(((event.clientY - grip.y) / size) * pitches.length);
      show(column, row);
    });
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { grip = null; });
    show(...here());
  }

  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const film = document.querySelector("video");
  if (film && !calm) film.play().catch(() => {});

  const links = new Map([...document.querySelectorAll("nav.toc a")].map((link) => [link.hash.slice(1), link]));
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.classList.remove("here");
      links.get(entry.target.id)?.classList.add("here");
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  for (const id of links.keys()) {
    const section = document.getElementById(id);
    if (section) watcher.observe(section);
  }
})();
