(() => {
  const within = (value, count) => Math.max(0, Math.min(count - 1, value));
  const around = (value, count) => ((value % count) + count) % count;

  // one tile of a sprite at a time, chosen by sliders, by dragging it, or by arrow keys
  const ARROWS = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", -1], ArrowDown: ["y", 1] };
  for (const box of document.querySelectorAll("[data-sprite]")) {
    const stage = box.querySelector(".stage");
    const sprite = stage.querySelector("img");
    const sliders = [...box.querySelectorAll("input[type=range]")];
    const dials = sliders.map((slider) => ({
      slider,
      axis: slider.dataset.axis,
      // a single dial is dragged sideways
      drag: sliders.length === 1 ? "x" : slider.dataset.axis,
      words: JSON.parse(slider.dataset.words),
      fit: "wraps" in slider.dataset ? around : within,
    }));

    const show = () => {
      const shift = { x: 0, y: 0 };
      const said = [box.dataset.name];
      for (const { slider, axis, words } of dials) {
        const place = Number(slider.value);
        shift[axis] = (-100 * place) / words.length;
        slider.setAttribute("aria-valuetext", words[place]);
        slider.nextElementSibling.textContent = words[place];
        said.push(dials.length > 1 ? `${slider.closest("label").firstChild.data.trim().toLowerCase()} ${words[place]}` : words[place]);
      }
      sprite.style.transform = `translate(${shift.x}%, ${shift.y}%)`;
      stage.setAttribute("aria-label", said.join(", "));
    };
    const move = (dial, place) => { dial.slider.value = dial.fit(place, dial.words.length); };

    for (const slider of sliders) slider.addEventListener("input", show);
    stage.addEventListener("keydown", (event) => {
      const [axis, step] = ARROWS[event.key] ?? [];
      const dial = dials.find((each) => each.drag === axis);
      if (!dial) return;
      event.preventDefault();
      move(dial, Number(dial.slider.value) + step);
      show();
    });
    let grip = null;
    stage.addEventListener("pointerdown", (event) => {
      stage.setPointerCapture(event.pointerId);
      grip = { x: event.clientX, y: event.clientY, at: sliders.map((slider) => Number(slider.value)) };
    });
    stage.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const far = { x: event.clientX - grip.x, y: grip.y - event.clientY };
      dials.forEach((dial, index) => {
        move(dial, grip.at[index] + Math.round((far[dial.drag] / stage.clientWidth) * dial.words.length));
      });
      show();
    });
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { grip = null; });
    show();
  }

  // sorting: numbers by data-value or by what the cell says, what is missing last, else as it was
  const UNITS = { k: 1e3, M: 1e6, d: 86400, h: 3600, min: 60 };
  const worth = (cell) => {
    const text = cell.textContent.trim();
    const value = cell.dataset.value ?? text;
    if (value === "" || text === "\u2013") return null;
    if (cell.dataset.value !== undefined) return Number(value);
    if (!/^[\u2248+-]?\s*[\d.]/.test(text)) return text.toLowerCase();
    const parts = [...text.replaceAll(",", "").matchAll(/(\d[\d.e+-]*)\s*([a-z]*)/gi)];
    return parts.reduce((sum, [, number, unit]) => sum + parseFloat(number) * (UNITS[unit] ?? 1), 0);
  };
  const compare = (one, other) =>
    typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other));
  // the order of `cells` as places in the list
  const order = (cells, falls) => {
    const keys = cells.map(worth);
    return [...keys.keys()].sort((a, b) => {
      if (keys[a] === null || keys[b] === null) return (keys[a] === null) - (keys[b] === null) || a - b;
      return (falls ? -1 : 1) * compare(keys[a], keys[b]) || a - b;
    });
  };
  // a button in each head: the first press sorts, the second turns it round, the third takes it back
  const sortable = (heads, hint, arrange) => {
    for (const head of heads) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.title = hint;
      const label = head.querySelector(":scope > .nowrap");
      if (label) {
        label.replaceWith(button);
        button.append(label);
      } else {
        button.append(...head.childNodes);
        head.append(button);
      }
      // of a metric the better values come first
      const first = button.textContent.includes("\u2191") ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const next = now === first ? second : now === second ? null : first;
        for (const each of heads) each.removeAttribute("aria-sort");
        if (next) head.setAttribute("aria-sort", next);
        arrange(head, next);
      });
    }
  };
  for (const table of document.querySelectorAll("main table")) {
    if (table.tBodies.length !== 1 || !table.tHead?.querySelector(".number") || table.tBodies[0].rows.length < 2) continue;
    const rows = [...table.tBodies[0].rows];
    if (table.classList.contains("metrics")) {
      // a row a metric: it is the arms that are put in order
      const lines = [...table.rows].map((row) => [row, [...row.cells].slice(1)]);
      if (lines[0][1].length < 2) continue;
      sortable(rows.map((row) => row.cells[0]), "Order the arms by this metric", (head, way) => {
        const [, cells] = lines.find(([row]) => row === head.parentElement);
        const places = way ? order(cells, way === "descending") : [...cells.keys()];
        for (const [row, own] of lines) row.append(...places.map((place) => own[place]));
      });
    } else {
      const heads = [...table.tHead.rows[0].cells];
      sortable(heads, "Sort by this column", (head, way) => {
        const cells = rows.map((row) => row.cells[heads.indexOf(head)]);
        const places = way ? order(cells, way === "descending") : [...rows.keys()];
        table.tBodies[0].append(...places.map((place) => rows[place]));
      });
    }
  }

  // arms side by side
  for (const box of document.querySelectorAll("[data-compare]")) {
    const picks = [...box.querySelectorAll("input[type=checkbox]")];
    const latent = box.querySelector("select");
    const figures = [...box.querySelectorAll("figure[data-arm]")];
    const show = () => {
      const chosen = new Set(picks.filter((pick) => pick.checked).map((pick) => pick.value));
      const row = latent?.value ?? "";
      for (const figure of figures) {
        figure.hidden = !chosen.has(figure.dataset.arm);
        const view = figure.querySelector(".window");
        view.style.aspectRatio = row === "" ? "" : figure.dataset.shape;
        view.firstElementChild.style.transform = row === "" ? "" : `translateY(${-100 * row * figure.dataset.step}%)`;
      }
      box.querySelector(".strips").classList.toggle("single", row !== "");
      box.querySelector(".strips > p").hidden = chosen.size > 0;
    };
    box.addEventListener("change", show);
    show();
  }

  // the mesh: a whole document of its own, unpacked when it is asked for; it may run scripts and nothing else
  for (const box of document.querySelectorAll("[data-mesh]")) {
    if (!("DecompressionStream" in window && "WebGLRenderingContext" in window)) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Turn the mesh";
    button.addEventListener("click", async () => {
      button.disabled = true;
      if (!document.createElement("canvas").getContext("webgl")) {
        button.textContent = "This browser shows no 3-D graphics (WebGL)";
        return;
      }
      const bytes = Uint8Array.from(atob(box.dataset.mesh), (letter) => letter.charCodeAt(0));
      const whole = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      const frame = document.createElement("iframe");
      frame.title = "Mesh of one generated object";
      frame.setAttribute("sandbox", "allow-scripts");
      frame.srcdoc = await new Response(whole).text();
      const hint = document.createElement("p");
      hint.className = "quiet";
      hint.textContent = "Drag it, or use the arrow keys; the wheel, or + and \u2212, zoom.";
      button.replaceWith(frame, hint);
      frame.focus();
      box.classList.add("turning");
    });
    box.querySelector("figcaption").before(button);
  }

  // what scrolls can be scrolled by keys
  const scrollers = [...document.querySelectorAll(".scroll, .plot.large")];
  const reachable = () => {
    for (const each of scrollers) {
      const needed = each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== "visible";
      if (needed) each.tabIndex = 0;
      else each.removeAttribute("tabindex");
    }
  };
  reachable();
  addEventListener("resize", reachable);
  addEventListener("toggle", reachable, true);

  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const film = document.querySelector("video");
  if (film && !calm) film.play().catch(() => {});

  const links = new Map([...document.querySelectorAll("nav.toc a")].map((link) => [link.hash.slice(1), link]));
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) {
        link.classList.remove("here");
        link.removeAttribute("aria-current");
      }
      const here = links.get(entry.target.id);
      if (!here) continue;
      here.classList.add("here");
      here.setAttribute("aria-current", "true");
      // on a narrow screen the bar scrolls too
      const bar = here.closest("ol");
      bar.scrollTo({ left: here.offsetLeft - bar.offsetLeft - bar.clientWidth / 3, behavior: calm ? "auto" : "smooth" });
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  for (const id of links.keys()) {
    const section = document.getElementById(id);
    if (section) watcher.observe(section);
  }
})();
