"""The schema of an inventory's rows: models of pydantic made of the tables of columns, and JSON Schema made of these.

A row is judged by itself: a name that is there twice, a host that does not exist or that is full is a matter of whole
tables, which `Inventory.problems` tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastsmc.errors import InputError
from fastsmc.files.csv_text import MOST_FIELD
from fastsmc.plan.inventory.columns import HOSTS, VMS, Spec

if TYPE_CHECKING:
    from pydantic import BaseModel

_TITLE = "An inventory for fastsmc: hosts and VMs"


@cache
def models() -> tuple[type[BaseModel], type[BaseModel], type[BaseModel]]:
    """(a host, a VM, an inventory as lists of both), as models that check a row.

    Raises:
        InputError: pydantic is not installed.

    >>> host, vm, _ = models()
    >>> vm(name="a", host="h1", vcpus=4).memory_gib is None
    True
    """
    try:
        from pydantic import create_model
    except ImportError:
        msg = "the schema needs pydantic: install fastsmc[schema]; docs/planning/inventory.schema.json is the same"
        raise InputError(msg) from None
    host, vm = _model("Host", "A host of a fleet.", HOSTS), _model("Vm", "A VM of a fleet.", VMS)
    lists: Any = {"hosts": (list[host], ...), "vms": (list[vm], ...)}  # type: ignore[valid-type]
    return host, vm, create_model("Inventory", __config__={"extra": "forbid", "title": _TITLE}, **lists)


def schema() -> dict[str, Any]:
    """JSON Schema of an inventory as lists of rows; an empty field of CSV is a key that is missing, or null.

    Raises:
        InputError: pydantic is not installed.
    """
    return models()[2].model_json_schema()


def _model(name: str, what: str, specs: Mapping[str, Spec]) -> type[BaseModel]:
    from pydantic import create_model

    fields: Any = {column: _field(spec) for column, spec in specs.items()}
    config: Any = {"extra": "forbid", "allow_inf_nan": False, "strict": True}
    return create_model(name, __config__=config, __doc__=what, **fields)


def _field(spec: Spec) -> tuple[Any, Any]:
    """The type and the default of a column."""
    from pydantic import Field

    about = f"{spec.meaning}{f', {spec.unit}' if spec.unit else ''}"
    kind: Any
    if spec.words:
        kind = Literal[("", *spec.words)]
    elif spec.type == "text":
        kind = Annotated[str, Field(min_length=int(spec.is_needed), max_length=MOST_FIELD)]
    elif spec.type == "count":
        kind = Annotated[int, Field(ge=1, le=spec.most)]
    else:
        kind = Annotated[float, Field(ge=0, le=spec.most) if spec.zero else Field(gt=0, le=spec.most)]
    if spec.is_needed:
        return kind, Field(description=about)
    return kind | None, Field(None, description=about)
