"""What all sections of a study share: unknown keys are refused, with the nearest valid one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.errors import nearest

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)]
Share = Annotated[float, Field(ge=0, le=1)]
Split = Literal["train", "search", "test"]


class Section(BaseModel):
    """A part of the study. Keys it does not know are refused, with the nearest one it knows."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def refuse_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    close = nearest(str(key), cls.model_fields)
                    hint = f"did you mean '{close}'?" if close else f"valid keys are {', '.join(cls.model_fields)}."
                    raise PydanticCustomError("unknown_key", "unknown key '{key}'; {hint}", {"key": key, "hint": hint})
        return values


def chosen_by_key(kinds: dict[str, type[Section]], what: str) -> Discriminator:
    """Choose the section that has the one key of `kinds` present in the values."""

    def kind(values: Any) -> str | None:
        present = [key for key in kinds if (key in values if isinstance(values, dict) else hasattr(values, key))]
        return present[0] if len(present) == 1 else None

    return Discriminator(
        kind,
        custom_error_type="no_kind",
        custom_error_message=f"{what} has exactly one of the keys {', '.join(kinds)}",
        custom_error_context={"keys": list(kinds)},
    )
