"""ASAM MDF4, as measurement tools of the trade read it.  Needs the extra `mdf`.

Channels have their unit and meaning, `drive_state` its names; time is the device's.  The file's header
has identity and scenario; `eesm.json` (everything), `parameters.toml` and `scenario.toml` are attached.
"""

from __future__ import annotations

import json
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from eesm.drive import STATES
from eesm.signals import Signals
from eesm.table import signals_of
from host_tools.errors import MissingExtra, UsageError
from host_tools.files import replacing
from host_tools.log.files import columns_of, content_of, run_of
from host_tools.log.raw import to_json
from host_tools.log.run import Run, numpy_module

EVERYTHING = "eesm.json"
DEFLATE = 2  # asammdf's number for transposed and compressed data


def write_mdf4(run: Run, path: str | Path) -> Path:
    """Write MDF 4.10."""
    from host_tools.parameter_file import IDENTITY, render

    asammdf = _asammdf()
    identity, scenario = run.header["identity"], run.header.get("scenario")
    table = signals_of(Signals)
    states: dict[str, Any] = {}
    for n, name in enumerate(STATES):
        states |= {f"val_{n}": n, f"text_{n}": name.encode()}
    channels = []
    for name, (column, unit) in columns_of(run).items():
        if name == "t":
            continue
        meaning = table[name].meaning if name in table else ""
        more = {"conversion": states} if name == "drive_state" else {}
        channels.append(asammdf.Signal(column, run.t, unit=unit, name=name, comment=meaning, **more))
    with closing(asammdf.MDF(version="4.10")) as file:
        with suppress(ValueError):
            file.header.start_time = datetime.fromisoformat(run.header.get("created", ""))
        title = (scenario or {}).get("title") or "Log"
        file.header.comment = f"{title}: unit {identity['unit']} on board {identity['board']}"
        file.append(channels, comment="stream", common_timebase=True)
        attached = [(EVERYTHING, to_json(content_of(run)), "application/json")]
        holder = SimpleNamespace(**{name: identity.get(name, "") for name in IDENTITY})
        if run.header.get("settings"):
            text = render(run.header["settings"], holder, saved=run.header.get("created", ""))
            attached.append(("parameters.toml", text.encode(), "application/toml"))
        if scenario and scenario.get("text"):
            attached.append(("scenario.toml", scenario["text"].encode(), "application/toml"))
        for name, content, kind in attached:
            file.attach(content, file_name=name, comment=name, mime=kind, compression=True)
        with replacing(path) as temporary:
            # It would put its own suffix behind another one.
            written = file.save(temporary.with_suffix(".mf4"), overwrite=True, compression=DEFLATE)
            Path(written).replace(temporary)
    return Path(path)


def read_mdf4(path: Path) -> Run:
    """Read what `write_mdf4` wrote."""
    np = numpy_module()
    with closing(_asammdf().MDF(path)) as file:
        for n, attachment in enumerate(file.attachments):
            if Path(attachment.file_name).name == EVERYTHING:
                content = json.loads(bytes(file.extract_attachment(index=n)[0]))
                return run_of(content, lambda name: np.asarray(file.get(name).samples))
    raise UsageError(f"{path} is an MDF file, but eesm did not write it.")


def _asammdf() -> Any:
    try:
        import asammdf
    except ImportError as error:
        raise MissingExtra("asammdf", "mdf", "MDF4") from error
    return asammdf
