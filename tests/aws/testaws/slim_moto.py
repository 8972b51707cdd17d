"""Makes moto start faster and use less memory. Must be called before any of moto's services is imported."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from botocore.utils import parse_timestamp


def slim_moto() -> None:
    _skip_instance_types()
    _ask_for_regions_once()
    _look_methods_up_once()
    _look_names_up_once()
    _answer_without_request_ids()
    _look_errors_up_once()
    _look_tags_up_by_resource()
    _write_xml_plainly()
    _answer_without_a_wire()


def _skip_instance_types() -> None:
    """The tables of instance types use most of the memory of moto's EC2, and no test starts an instance."""
    from moto.utilities import utils

    load = utils.load_resource

    def lean_load(resource: str):
        if "instance_type" in resource:
            return [] if "offerings" in resource else {}
        return load(resource)

    utils.load_resource = lean_load


def _ask_for_regions_once() -> None:
    """Moto creates a session for each query of the regions, and each session reads the service's model again."""
    import boto3

    ask = cache(boto3.Session().get_available_regions)
    boto3.Session.get_available_regions = lambda self, *args, **kwargs: list(ask(*args, **kwargs))


def _look_methods_up_once() -> None:
    """Moto lists the methods of a service's class for every request."""
    from moto.core import responses

    responses.method_names_from_class = cache(responses.method_names_from_class)


def _look_names_up_once() -> None:
    """Moto tries several names for each member of each object. The names depend on the object's class and the member."""
    from moto.core import serialize

    picker, plain = serialize.XFormedAttributePicker, serialize.DefaultAttributePicker
    slow = serialize.ResponseSerializer.get_value
    missing = object()
    names: dict[Any, tuple[str, ...]] = {}
    # The transformers of a service are one dictionary, to which its handlers add.
    paths: dict[tuple[int, int, str], list[str]] = {}

    def get_value(self: Any, value: Any, key: str, shape: Any) -> Any:
        pick = self._value_picker
        kind = type(value)
        if type(pick) is plain:
            return value.get(key) if kind is dict else serialize.get_value(value, key, None)
        if type(pick) is not picker:
            return slow(self, value, key, shape)
        found = names.get((kind, shape, key))
        if found is None:
            context = serialize.AttributePickerContext(obj=value, key=key, shape=shape)
            found = names[kind, shape, key] = tuple(dict.fromkeys(pick.get_possible_keys(context)))
        for name in found:
            item = value.get(name, missing) if kind is dict else serialize.get_value(value, name, missing)
            if item is not missing:
                break
        else:
            item = None
        transformers = pick.response_transformers
        if transformers:
            fitting = paths.get((id(transformers), len(transformers), key))
            if fitting is None:
                fitting = [path for path in transformers if path.endswith(key)]
                paths[id(transformers), len(transformers), key] = fitting
            for path in fitting:
                if f"{'.'.join(self.path)}.{key}".endswith(path):
                    return transformers[path](item)
        return item

    serialize.ResponseSerializer.get_value = get_value


def _answer_without_request_ids() -> None:
    """Moto chooses the 52 characters of an ID for every response, and looks for its place there. The server has its own."""
    from moto.core import responses

    responses.BaseResponse._enrich_response = staticmethod(lambda headers, body: (headers, body))


def _look_errors_up_once() -> None:
    """Moto builds the table of a service's errors for every error."""
    from moto.core import errors

    errors.ErrorLookupFactory = cache(errors.ErrorLookupFactory)


def _look_tags_up_by_resource() -> None:
    """Moto compares the ID of a resource with those of all tagged resources, as patterns."""
    from moto.ec2.models.core import TaggedEC2Resource
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

    def get_tags(self: Any) -> list[dict[str, str]]:
        tags = self.ec2_backend.tags.get(self.id) if self.id else None
        if not tags:
            return []
        kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "")
        return [
            {"resource_id": self.id, "key": key, "value": value, "resource_type": kind} for key, value in tags.items()
        ]

    TaggedEC2Resource.get_tags = get_tags


def _write_xml_plainly() -> None:
    """The XML that moto writes does not need the checks of `xmltodict`."""
    from moto.core import serialize

    class Xml:
        @staticmethod
        def unparse(
            document: dict[str, Any],
            full_document: bool = True,
            short_empty_elements: bool = False,
            pretty: bool = False,
        ) -> str:
            assert not pretty
            parts = ['<?xml version="1.0" encoding="utf-8"?>\n'] if full_document else []
            for name, value in document.items():
                _element(parts, name, value, short_empty_elements)
            return "".join(parts)

    serialize.xmltodict = Xml


def _element(parts: list[str], name: str, value: Any, short: bool) -> None:
    if isinstance(value, (list, tuple)):
        for item in value:
            _element(parts, name, item, short)
        return
    if isinstance(value, dict):
        attributes = "".join(f" {key[1:]}={quoteattr(str(text))}" for key, text in value.items() if key[0] == "@")
        start = len(parts)
        parts.append(f"<{name}{attributes}>")
        for key, item in value.items():
            if key[0] != "@":
                _element(parts, key, item, short)
        if short and len(parts) == start + 1:
            parts[start] = f"<{name}{attributes}/>"
        else:
            parts.append(f"</{name}>")
        return
    if isinstance(value, bool):
        value = "true" if value else "false"
    text = "" if value is None else escape(str(value))
    parts.append(f"<{name}/>" if short and not text else f"<{name}>{text}</{name}>")


# Set while a result is required in boto3's format instead of the wire format.
AS_BOTO3_SHOWS: ContextVar[list[Any] | None] = ContextVar("as boto3 shows", default=None)
# Set while only the listed resources of which this holds are required: the others need no conversion.
ONLY: ContextVar[Callable[[Any], bool] | None] = ContextVar("only", default=None)


def _answer_without_a_wire() -> None:
    """Returns a result before moto serializes it, because the caller would parse it again immediately."""
    from moto.core import responses, serialize

    execute = responses.ActionResult.execute_result

    class Shown(serialize.ResponseSerializer):
        """Serializes a result with the names and types of boto3."""

        DEFAULT_TIMESTAMP_FORMAT = serialize.TimestampSerializer.TIMESTAMP_FORMAT_ISO8601_ZEROED

        def _default_serialize(self, serialized: Any, value: Any, shape: Any, key: str) -> None:
            serialized[key] = value

        def _serialize_type_list(self, serialized: Any, value: Any, shape: Any, key: str) -> None:
            shown = []
            for item in value:
                one: dict[str, Any] = {}
                self._serialize(one, item, shape.member, "item")
                if one.get("item") not in (None, {}):
                    shown.append(one["item"])
            serialized[key] = shown

        def _serialize_type_map(self, serialized: Any, value: Any, shape: Any, key: str) -> None:
            shown: dict[str, Any] = {}
            for name, item in value.items():
                self._serialize(shown, item, shape.value, str(name))
            serialized[key] = shown

        def _serialize_type_boolean(self, serialized: Any, value: Any, shape: Any, key: str) -> None:
            serialized[key] = str(value).lower() == "true"

        def _serialize_type_string(self, serialized: Any, value: Any, shape: Any, key: str) -> None:
            serialized[key] = str(value)

        def _serialize_type_timestamp(self, serialized: Any, value: Any, shape: Any, key: str) -> None:
            super()._serialize_type_timestamp(serialized, value, shape, key)
            serialized[key] = parse_timestamp(serialized[key])

        def _serialize_type_blob(self, serialized: Any, value: Any, shape: Any, key: str) -> None:
            serialized[key] = value.encode() if isinstance(value, str) else value

    def execute_result(self: Any, context: Any) -> Any:
        shown = AS_BOTO3_SHOWS.get()
        shape = context.operation_model.output_shape
        if shown is None or shape is None or isinstance(self.result, Exception):
            return execute(self, context)
        transformers = getattr(context.response, "RESPONSE_KEY_PATH_TO_TRANSFORMER", None)
        picker = serialize.XFormedAttributePicker(response_transformers=transformers)
        result: dict[str, Any] = {}
        only, listing = ONLY.get(), self.result
        if only is not None and isinstance(listing, dict):
            listing = {
                name: [item for item in value if only(item)] if isinstance(value, list) else value
                for name, value in listing.items()
            }
        Shown(context.operation_model, value_picker=picker)._serialize(result, listing, shape, "")
        shown.append(result)
        return 200, {}, ""

    responses.ActionResult.execute_result = execute_result
