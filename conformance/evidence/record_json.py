"""Headers, records and footers from JSON and back.

A stranger may have written it, so every field is checked, here and nowhere else; a refusal names the place. How long a
text may be stands in `limits`, which the worker keeps to when it writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from xent import dtypes
from xent.capabilities import Capabilities
from xent.conformance.files.strict_json import NotANumber, Place, shown
from xent.conformance.protocol import arrays, limits
from xent.conformance.protocol.case import DIFFERENTIABLE, ID, ID_RULE

from .records import (
    ARRAYS,
    OUTCOMES,
    PHASES,
    READS,
    SCHEMA,
    AdapterSource,
    CaseSet,
    Footer,
    Header,
    Implementation,
    Raised,
    Record,
)  # fmt: skip

_SIGNAL = re.compile(r"SIG[A-Z0-9+]{1,20}|exit [0-9]{1,3}", re.ASCII)
_SHA256 = re.compile("[0-9a-f]{64}", re.ASCII)


def header(content: Any, place: Place) -> Header:
    """The header in this JSON. Raises UnreadableInput with the place of what is wrong."""
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema is None:
        place.refuse("the first line is no header of a results file")
    if not isinstance(schema, str) or schema not in READS:
        place.refuse(f"the schema is {shown(schema)}, and this version reads {', '.join(READS)}")
    optional = ("adapter", "capabilities", "sample") if schema == SCHEMA else ("adapter",)
    names = ("schema", "implementation", "python", "platform", "packages", "case_set", "started")
    fields = place.fields(content, names, optional)
    at = place.key("packages")
    packages = at.mapping(fields["packages"], limits.PACKAGES)
    return Header(
        implementation=_implementation(fields["implementation"], place.key("implementation")),
        python=place.key("python").string(fields["python"], limits.NAME),
        platform=place.key("platform").string(fields["platform"], limits.NAME),
        packages={
            at.string(name, limits.NAME): at.key(name).string(text, limits.NAME) for name, text in packages.items()
        },
        case_set=_case_set(fields["case_set"], place.key("case_set")),
        started=place.key("started").string(fields["started"], limits.NAME),
        adapter=_adapter(fields["adapter"], place.key("adapter")) if "adapter" in fields else None,
        capabilities=_capabilities(fields.get("capabilities"), place.key("capabilities")),
        sample=_tag(fields.get("sample"), place.key("sample")),
        schema=schema,
    )


def header_data(header: Header) -> dict[str, Any]:
    """The header as JSON: the inverse of `header`."""
    data: dict[str, Any] = {
        "schema": header.schema,
        "implementation": vars(header.implementation).copy(),
        "python": header.python,
        "platform": header.platform,
        "packages": dict(header.packages),
        "case_set": vars(header.case_set).copy(),
        "started": header.started,
    }
    if header.adapter is not None:
        data["adapter"] = vars(header.adapter).copy()
    if header.capabilities is not None:
        data["capabilities"] = header.capabilities.to_dict()
    if header.sample is not None:
        data["sample"] = header.sample
    return data


_RAN = ("casts", "kernels", "ms")
_FIELDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # required, optional; with "case" and "outcome"
    "value": (("value",), ("gradient", "gradients", *_RAN)),
    "error": (("error",), _RAN),
    "crash": (("signal",), ("stderr",)),
    "timeout": ((), ("stderr",)),
    "unsupported": ((), ()),
    "not-recorded": (("reason",), _RAN),
}


def record(content: Any, place: Place, kernels: str = "native") -> Record:
    """The record in this JSON; `kernels` where it doesn't say. Raises UnreadableInput with the place of the fault."""
    outcome = content.get("outcome") if isinstance(content, dict) else None
    if not isinstance(outcome, str) or outcome not in OUTCOMES:
        place.refuse(f"not the record of a case: no outcome that is one of {', '.join(OUTCOMES)}")
    required, optional = _FIELDS[outcome]
    fields = place.fields(content, ("case", "outcome", *required), optional)
    at = place.key("casts")
    casts = at.items(fields.get("casts", []), limits.CASTS)
    return Record(
        case=place.key("case").match(fields["case"], ID, f"the id of a case ({ID_RULE})"),
        outcome=outcome,
        value=_array(fields["value"], place.key("value")) if outcome == "value" else None,
        gradient=None if fields.get("gradient") is None else _array(fields["gradient"], place.key("gradient")),
        gradients=_gradients(fields.get("gradients"), place.key("gradients")),
        error=_raised(fields["error"], place.key("error")) if outcome == "error" else None,
        signal=place.key("signal").match(fields["signal"], _SIGNAL, "a signal's name, such as SIGABRT, or exit N")
        if outcome == "crash"
        else None,
        stderr=place.key("stderr").string(fields.get("stderr", ""), limits.TEXT),
        reason=place.key("reason").string(fields.get("reason", ""), limits.TEXT),
        casts=tuple(at.item(index).string(cast, limits.NAME) for index, cast in enumerate(casts)),
        kernels=place.key("kernels").string(fields.get("kernels", kernels), limits.NAME),
        ms=place.key("ms").number(fields["ms"]) if "ms" in fields else None,
    )


def record_data(record: Record) -> dict[str, Any]:
    """The record as JSON, every field of it."""
    data = {name: getattr(record, name) for name in ("case", "outcome", "signal", "stderr", "reason", "kernels", "ms")}
    found = {name: getattr(record, name) for name in ARRAYS}
    gradients = record.gradients
    return {
        **data,
        **{name: None if array is None else arrays.encode(array) for name, array in found.items()},
        "gradients": None if gradients is None else {name: arrays.encode(one) for name, one in gradients.items()},
        "error": None if record.error is None else vars(record.error).copy(),
        "casts": list(record.casts),
    }


def footer(content: Any, place: Place, recorded: int) -> Footer:
    """The footer, of a file with so many records, in this JSON. Raises UnreadableInput with the place of the fault."""
    fields = place.fields(content, ("complete", "planned", "recorded"), ("left_out",))
    if fields["complete"] is not True:
        place.key("complete").refuse(f"must be true, got {shown(fields['complete'])}")
    planned, counted = (place.key(name).count(fields[name]) for name in ("planned", "recorded"))
    if not planned == counted == recorded:
        place.refuse(f"planned {planned}, recorded {counted}, and the file has {recorded} records")
    at = place.key("left_out")
    left_out = at.mapping(fields.get("left_out", {}), limits.PACKAGES)
    return Footer(planned, counted, {at.string(why, limits.NAME): at.key(why).count(n) for why, n in left_out.items()})


def footer_data(footer: Footer) -> dict[str, Any]:
    """The footer as JSON: the inverse of `footer`."""
    data: dict[str, Any] = {"complete": True, "planned": footer.planned, "recorded": footer.recorded}
    return {**data, "left_out": dict(footer.left_out)} if footer.left_out else data


def _implementation(value: Any, place: Place) -> Implementation:
    names = ("id", "name", "version", "device", "mode", "kernels")
    fields = place.fields(value, names)
    return Implementation(**{name: place.key(name).string(fields[name], limits.NAME) for name in names})


def _case_set(value: Any, place: Place) -> CaseSet:
    fields = place.fields(value, ("sha256", "count"))
    return CaseSet(_sha256(fields["sha256"], place.key("sha256")), place.key("count").count(fields["count"]))


def _adapter(value: Any, place: Place) -> AdapterSource:
    fields = place.fields(value, ("module", "sha256"))
    return AdapterSource(
        place.key("module").string(fields["module"], limits.NAME), _sha256(fields["sha256"], place.key("sha256"))
    )


def _sha256(value: Any, place: Place) -> str:
    return place.match(value, _SHA256, "64 hexadecimal digits")


def _capabilities(value: Any, place: Place) -> Capabilities | None:
    if value is None:
        return None
    if isinstance(value, NotANumber):
        place.refuse(f"must be an object, got {shown(value)}")
    try:
        return Capabilities.from_dict(value)
    except ValueError as error:
        place.refuse(str(error))


def _tag(value: Any, place: Place) -> str | None:
    return None if value is None else place.match(value, ID, f"a tag ({ID_RULE})")


def _raised(value: Any, place: Place) -> Raised:
    fields = place.fields(value, ("type", "message", "phase"))
    return Raised(
        place.key("type").string(fields["type"], limits.TEXT),
        place.key("message").string(fields["message"], limits.TEXT),
        place.key("phase").choice(fields["phase"], PHASES),
    )


def _gradients(value: Any, place: Place) -> Mapping[str, dtypes.Array] | None:
    if value is None:
        return None
    known = DIFFERENTIABLE[1:]
    fields = place.fields(value, (), known)
    return {name: _array(fields[name], place.key(name)) for name in known if name in fields}


def _array(value: Any, place: Place) -> dtypes.Array:
    try:
        return arrays.decode(value)
    except ValueError as error:
        place.refuse(str(error))
