"""What this machine has, and what it lacks for an experiment; what may not load is loaded where it is asked."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pigan import config, presets
from pigan.errors import PiganError
from pigan.files import read_json, work_root
from pigan.machine import Fact, asked, machine_facts
from pigan.processor import usable_processors
from pigan.progress import track
from pigan.report.speed import Estimate
from pigan.report.tables import write_significant
from pigan.runtime import prepare_process

SHORT = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


def examine(params: Path | None, device: torch.device) -> list[Fact]:
    """Facts about the machine and, where there is a params file, about what it needs; never fails.

    Args:
        params: The params file; None: params.yaml of this folder, if there is one.
        device: Where training would run.
    """
    facts = machine_facts()
    place = params or Path("params.yaml")
    if params is None and not place.is_file():
        advice = "make one with `pigan params demo > params.yaml`; what follows is for the demo"
        facts.append(Fact("params", "no params.yaml here", "advice", advice))
        loaded = presets.params(presets.BASE)
    else:
        try:
            loaded = config.load(place)
        except PiganError as error:
            return [*facts, Fact("params", str(error), "missing")]
        facts.append(Fact("params", f"{place} is valid: experiment {loaded.experiment}"))
    needs = {
        "data": partial(_data, loaded),
        "threads": partial(_threads, loaded),
        "starts from": partial(_starts, loaded),
        "features": partial(_features, loaded),
        "kernel": partial(_kernel, loaded, device),
        "training memory": partial(_training_memory, loaded, device),
    }
    return facts + [asked(name, look) for name, look in needs.items()]


def estimates(device: torch.device) -> list[Estimate]:
    """Hours and memory of every preset here, from rates measured now on all processors: about a minute."""
    from pigan.bench.estimate import Rates, estimate

    prepare_process(usable_processors())
    rates = Rates(device, quick=True)
    known = track(presets.NAMES, len(presets.NAMES), "estimates", "preset")
    return [row for name in known for row in estimate(name, presets.params(name), rates)]


def as_text(facts: list[Fact], estimated: list[Estimate] | None = None) -> str:
    """A line a fact, and a table of the estimates."""
    width = max(len(fact.name) for fact in facts)
    lines = [
        f"{fact.state:8} {fact.name:{width}}  {fact.value}{f' - {fact.advice}' if fact.advice else ''}"
        for fact in facts
    ]
    if estimated is not None:
        lines += ["", "Estimated from rates measured now, not run:"]
        lines.append(f"{'preset':14} {'stage':6} {'hours':>10} {'memory, GB':>11} {'images/s':>10}")
        lines += [
            f"{row.preset:14} {row.stage:6} {write_significant(row.hours):>10} {write_significant(row.memory_gb):>11}"
            f" {write_significant(row.images_per_second):>10}"
            for row in estimated
        ]
    return "\n".join(lines)


def as_json(facts: list[Fact], estimated: list[Estimate] | None = None) -> dict[str, Any]:
    """The same for programs; `estimates` is null when they were not asked for."""
    rows = None if estimated is None else [row.model_dump() for row in estimated]
    return {"ready": ready(facts), "facts": [dataclasses.asdict(fact) for fact in facts], "estimates": rows}


def ready(facts: list[Fact]) -> bool:
    """Whether nothing that the params need is missing."""
    return all(fact.state != "missing" for fact in facts)


def _data(params: config.Params) -> Fact:
    """The prepared data, or what it can be made from."""
    from pigan.data.sources.catalog import CARDS

    dataset = params.dataset
    prepared, raw = Path("data/prepared") / dataset.name, Path("data/raw") / dataset.name
    if (prepared / "dataset.json").is_file():
        count = read_json(prepared / "dataset.json").get("count", "?")
        return Fact("data", f"{prepared}: {count} images")
    if raw.is_dir() and any(raw.iterdir()):
        return Fact("data", f"{raw} is there, `pigan crop` comes next")
    if dataset.source:
        if not Path(dataset.source).expanduser().exists():
            raise PiganError(f"dataset.source: there is no {dataset.source}; name the folder or archive of your images")
        return Fact("data", f"comes from {dataset.source}")
    if dataset.kind == "cars":
        return Fact("data", "cars, which `pigan download` renders")
    card, downloads = CARDS[dataset.kind], work_root() / "downloads" / dataset.kind
    if card.terms and not dataset.accept_terms and not downloads.is_dir():
        raise PiganError(
            f"{card.title} is downloaded on terms: read them with `pigan datasets {dataset.kind}` and set "
            "dataset.accept_terms: true, or name your copy in dataset.source"
        )
    return Fact("data", f"{card.title}, which `pigan download` fetches")


def _threads(params: config.Params) -> Fact:
    told, usable = f"{params.training.threads} a training", usable_processors()
    if params.training.threads <= usable:
        return Fact("threads", told)
    return Fact("threads", told, "advice", f"set training.threads to {usable} at most: so many processors there are")


def _starts(params: config.Params) -> Fact:
    """The models that arms start from, each loaded into the networks of its arm."""
    from pigan.report.sections import started_from
    from pigan.synthesis.trained import pretrained_checkpoint
    from pigan.training.state import initial_state, load_weights

    arms: dict[Path, list[str]] = {}
    for arm, asked_for in started_from(params).items():
        own, path = params.for_arm(arm), pretrained_checkpoint(asked_for)
        load_weights(path, initial_state(own, torch.device("cpu"), 0), own)
        arms.setdefault(path, []).append(arm)
    told = "; ".join(f"{path} ({', '.join(names)})" for path, names in arms.items())
    return Fact("starts from", told or "seeded weights")


def _features(params: config.Params) -> Fact:
    """Weights of the feature extractors, verified where they are there; fetches nothing."""
    from pigan.evaluation.weights import look, weight_file

    told, missing = [], []
    for extractor in params.evaluate.extractors:
        found = look(extractor, params.evaluate)
        if found.state == "missing" and found.fetchable:
            told.append(f"{extractor} not fetched yet")
            missing.append(extractor)
        else:
            weight_file(extractor, params.evaluate, fetch=False)
            told.append(f"{extractor}, SHA-256 {(found.sha256 or '')[:8]}... as expected")
    if not missing:
        return Fact("features", "; ".join(told))
    commands = ", ".join(f"`pigan weights {extractor}`" for extractor in missing)
    return Fact(
        "features", "; ".join(told), "advice", f"{commands} on a machine with network, else fetched when needed"
    )


def _kernel(params: config.Params, device: torch.device) -> Fact:
    """What kernel and precision of the main arm come to on the device; no arm may ask for what it cannot have."""
    from pigan.kernels.choose import rendering_numerics, training_numerics

    found = {}
    for arm in params.arms:
        own = params.for_arm(arm)
        found[arm] = training_numerics(own, device), rendering_numerics(own, device)
    training, rendering = (f"{numerics.kernel} {SHORT[numerics.dtype]}" for numerics in found[params.report.main_arm])
    return Fact("kernel", f"{training} in training, {rendering} in rendering, on {device.type}")


def _training_memory(params: config.Params, device: torch.device) -> Fact:
    """The largest stage of any arm, as estimated; too low a limit is an error."""
    from pigan.training.memory import peak_bytes, tile_of

    peaks = []
    for arm in params.arms:
        own = params.for_arm(arm)
        for link in own.curriculum.order:
            batch = own.curriculum.stages[link.name].batch_size
            tile = tile_of(own, link.resolution, batch, device)
            peaks.append((peak_bytes(own, link.resolution, batch, tile, device), f"{arm}, {link.name}"))
    most, where = max(peaks)
    return Fact("training memory", f"about {most / 1e6:,.0f} MB at most ({where}; estimated)")
