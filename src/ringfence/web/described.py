"""An OpenAPI document as its page shows it: operations by subject, fields in words, links between them. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

from msgspec import Struct

METHODS: Final = ("get", "post", "put", "patch", "delete")


class Kind(Struct, frozen=True):
    """What a value is, in words; `link`: the model that tells more of it, empty for none."""

    words: str
    link: str = ""


class Field(Struct, frozen=True, kw_only=True):
    """A parameter of an operation or a field of a model."""

    name: str
    place: str
    kind: Kind
    required: bool
    otherwise: str
    words: str


class Reply(Struct, frozen=True, kw_only=True):
    """An answer that may come."""

    status: str
    words: str
    kind: Kind
    media: str


class Operation(Struct, frozen=True, kw_only=True):
    """Something that can be asked or done."""

    id: str
    method: str
    path: str
    summary: str
    words: tuple[str, ...]
    rights: tuple[str, ...]
    parameters: tuple[Field, ...]
    body: Kind | None
    replies: tuple[Reply, ...]


class Subject(Struct, frozen=True, kw_only=True):
    """Operations that belong together."""

    name: str
    words: str
    operations: tuple[Operation, ...]


class Model(Struct, frozen=True, kw_only=True):
    """A value with fields."""

    id: str
    name: str
    words: tuple[str, ...]
    fields: tuple[Field, ...]


class Described(Struct, frozen=True, kw_only=True):
    """The whole API."""

    version: str
    words: tuple[str, ...]
    subjects: tuple[Subject, ...]
    models: tuple[Model, ...]


def described(document: dict[str, Any]) -> Described:
    """What the page shows of an OpenAPI document."""
    operations = [
        (operation["tags"][0], _operation(path, method, operation))
        for path, item in document["paths"].items()
        for method in METHODS
        if (operation := item.get(method)) is not None
    ]
    subjects = [
        Subject(
            name=tag["name"], words=tag.get("description", ""),
            operations=tuple(one for name, one in operations if name == tag["name"]),
        )
        for tag in document["tags"]
    ]  # fmt: skip
    models = [_model(name, model) for name, model in sorted(document["components"]["schemas"].items())]
    return Described(
        version=document["info"]["version"], words=_paragraphs(document["info"].get("description", "")),
        subjects=tuple(subject for subject in subjects if subject.operations), models=tuple(models),
    )  # fmt: skip


def _paragraphs(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split("\n\n") if part.strip())


def _operation(path: str, method: str, operation: dict[str, Any]) -> Operation:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return Operation(
        id=operation["operationId"], method=method.upper(), path=path, summary=operation["summary"],
        words=_paragraphs(operation.get("description", "")), rights=tuple(operation.get("x-permissions", ())),
        parameters=tuple(map(_parameter, operation.get("parameters", ()))),
        body=None if body is None else kind_of(body),
        replies=tuple(_reply(status, reply) for status, reply in sorted(operation["responses"].items())),
    )  # fmt: skip


def _parameter(parameter: dict[str, Any]) -> Field:
    return _field(parameter["name"], parameter["in"], parameter["schema"], parameter.get("required", False))


def _reply(status: str, reply: dict[str, Any]) -> Reply:
    contents: dict[str, dict[str, Any]] = reply.get("content") or {}
    media = next(iter(contents), "")
    schema = contents[media].get("schema") if media else None
    kind = kind_of(schema) if schema else Kind("nothing")
    return Reply(status=status, words=reply.get("description", ""), kind=kind, media=media)


def _model(name: str, model: dict[str, Any]) -> Model:
    required = model.get("required", ())
    fields = [_field(key, "", value, key in required) for key, value in model.get("properties", {}).items()]
    return Model(
        id=model_id(name), name=short(name), words=_paragraphs(model.get("description", "")), fields=tuple(fields)
    )


def _field(name: str, place: str, schema: dict[str, Any], required: bool) -> Field:
    otherwise = schema.get("default")
    return Field(
        name=name, place=place, kind=kind_of(schema), required=required,
        otherwise="" if otherwise in (None, "", []) else _value(otherwise), words=_words(schema),
    )  # fmt: skip


def _value(value: Any) -> str:
    """A default as JSON writes it, texts without quotation marks."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value)


def _words(schema: dict[str, Any]) -> str:
    """The description of a value, which may stand one level deeper where it may be null."""
    found = [schema.get("description", "")]
    found += [str(one.get("description", "")) for one in schema.get("oneOf", ()) if isinstance(one, dict)]
    return next(filter(None, found), "")


def kind_of(schema: dict[str, Any]) -> Kind:
    """What a value is, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Kind(short(name), model_id(name))
    for several in ("oneOf", "anyOf", "allOf"):
        if several in schema:
            kinds = [kind_of(one) for one in schema[several]]
            return Kind(" or ".join(one.words for one in kinds), next((one.link for one in kinds if one.link), ""))
    if "enum" in schema:
        return Kind(" | ".join("null" if one is None else str(one) for one in schema["enum"]))
    if "const" in schema:
        return Kind(str(schema["const"]))
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return Kind(" or ".join(kind))
    if kind == "array":
        inner = kind_of(schema.get("items") or {})
        return Kind(f"list of {inner.words}", inner.link)
    return Kind(f"{kind}{_range(schema)}")


def _range(schema: dict[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f", {least:,.0f} to {most:,.0f}"
    if "maxLength" in schema:
        return f", at most {schema['maxLength']:,} characters"
    return f", {schema['format']}" if "format" in schema else ""


def short(name: str) -> str:
    """The name of a model without where it comes from: "Listing_ringfence.answers.BanRow_" is "Listing of BanRow"."""
    outer, _, inner = name.rstrip("_").partition("_")
    outer = outer.rpartition(".")[2]
    return f"{outer} of {inner.rpartition('.')[2]}" if inner and outer == "Listing" else name.rpartition(".")[2]


def model_id(name: str) -> str:
    """The id of a model's section on the page."""
    return "model-" + "".join(one if one.isalnum() else "-" for one in name)
