"""Write the JSON Schemas of everything that travels, and the AsyncAPI document of the topics.

Takes: nothing but the code; ``python -m schemas.export DIR`` or ``flowsell schemas export DIR``
Out:   one file a schema (JSON Schema 2020-12) and ``asyncapi.json`` (AsyncAPI 3.0)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from schemas.aggregates import AGGREGATES
from schemas.outputs import OUTPUTS
from schemas.record import Record
from schemas.settings_body import SettingsBody
from schemas.topics import ERROR_FIELDS, ERROR_HEADER, TOPICS, Topic
from schemas.webhooks import generic

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI = "asyncapi.json"
VERSION = "1"
"""Of the contracts: a change that breaks a reader is a new version beside the old one."""

Document = dict[str, Any]

INPUTS: dict[str, Any] = {
    "generic": generic.Body,
    "record": Record,
    "settings": SettingsBody,
}
"""What we read, by the name of its schema; the outputs join in ``documents``."""

_HEADERS: dict[str, Document] = {
    "command": {
        "type": "object",
        "properties": {"command-id": {"type": "string"}, "schema": {"type": "string"}},
        "required": ["command-id", "schema"],
    },
    "dead_letter": {
        "type": "object",
        "properties": {f"{ERROR_HEADER}{field}": {"type": "string"} for field in ERROR_FIELDS},
        "required": [f"{ERROR_HEADER}{field}" for field in ERROR_FIELDS],
    },
}
_RECEIVED = ("records",)


def documents() -> dict[str, Document]:
    """Every exported document by its file name, in a fixed order."""
    kinds = INPUTS | OUTPUTS | AGGREGATES
    named = {f"{name}.json": schema(name, kind) for name, kind in kinds.items()}
    return dict(sorted(named.items())) | {ASYNCAPI: asyncapi()}


def schema(name: str, kind: Any) -> Document:
    """The JSON Schema of one type (or union); unknown fields are allowed, readers ignore them."""
    (root,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    reference = root.get("$ref", "")
    top = components.pop(reference.rpartition("/")[2]) if reference else root
    document = {
        "$schema": DIALECT,
        "$id": f"urn:flowsell:{name.replace('_', '-')}:v{VERSION}",
        **top,
        "title": name,
    }
    if components:
        document["$defs"] = dict(sorted(components.items()))
    return document


def asyncapi() -> Document:
    """The topics, what they carry and who reads or writes them, as AsyncAPI 3."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Flowsell Stream",
            "version": VERSION,
            "description": "Records in; commands, decisions, segments, profiles, aggregates out.",
        },
        "defaultContentType": "application/json",
        "channels": {stream: _channel(topic) for stream, topic in TOPICS.items()},
        "operations": {stream: _operation(stream) for stream in TOPICS},
        "components": {"messages": _messages()},
    }


def _channel(topic: Topic) -> Document:
    config = topic.config
    settings: Document = {"cleanup.policy": config["cleanup.policy"].split(",")}
    settings |= {
        key: int(config[key]) for key in ("retention.ms", "max.message.bytes") if key in config
    }
    return {
        "address": topic.name,
        "description": topic.about,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _carried(topic)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "topicConfiguration": settings,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _carried(topic: Topic) -> tuple[str, ...]:
    return topic.messages or ("dead_letter",)


def _operation(stream: str) -> Document:
    received = stream in _RECEIVED
    return {
        "action": "receive" if received else "send",
        "channel": {"$ref": f"#/channels/{stream}"},
        "summary": TOPICS[stream].about,
    }


def _messages() -> Document:
    messages: Document = {}
    for topic in TOPICS.values():
        for name in _carried(topic):
            key = {"type": "string", "description": topic.key}
            message: Document = {"bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}}}
            if name in _HEADERS:
                message["headers"] = _HEADERS[name]
            if name == "dead_letter":
                message["contentType"] = "application/octet-stream"
            else:
                message["payload"] = {
                    "schemaFormat": "application/schema+json;version=draft-2020-12",
                    "schema": {"$ref": f"./{name}.json"},
                }
            messages[name] = message
    return messages


def encoded(document: Document) -> str:
    """The text of a document as it is committed."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def export(folder: str | Path) -> list[Path]:
    """Write every document into the folder, made where it is missing; the paths written."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for name, document in documents().items():
        path = target / name
        path.write_text(encoded(document), encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    export(sys.argv[1])
