"""`harness validate`: which file is what, and the findings about everything in it.

*.yaml with `profiles:`       delivery profiles, as --profiles takes them
*.yaml with `topics:`         topics: name, partitions, replication.factor, config
*.yaml with `kind: KafkaTopic` Strimzi's topic resources; other kinds in the file are passed by
*.properties                  settings of a Java client (or librdkafka's names)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.errors import UsageError
from harness.profiles.documents import Located, read_yaml_documents
from harness.profiles.java import is_java, translate
from harness.profiles.lint import lint, lint_subject
from harness.profiles.load import load_builtin, profiles_of
from harness.profiles.model import Setting
from harness.profiles.rule import Finding, Subject
from harness.profiles.settings import (
    check_topic,
    client_settings,
    is_connection,
    topic_settings,
)
from harness.suggest import nearest

PROPERTIES: Final = (".properties", ".conf", ".config")
YAML: Final = (".yaml", ".yml", ".json")
_FACTOR: Final = ("replication.factor", "replication_factor", "replicationFactor", "replicas")
_TOPIC_FIELDS: Final = ("name", "topic", "topicName", "partitions", "config", "critical", *_FACTOR)


@dataclass(slots=True)
class FileReport:
    """What was found in one file."""

    file: str
    kind: str = "unknown"
    """profiles, topics or properties"""
    subjects: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    error: str | None = None
    """Why the file cannot be judged at all."""

    def count(self, severity: str) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "kind": self.kind,
            "subjects": self.subjects,
            "findings": [finding.to_json() for finding in self.findings],
            "error": self.error,
        }


def validate(path: Path) -> FileReport:
    """Look at one file; what cannot be read stands in `error`."""
    report = FileReport(str(path))
    try:
        suffix = path.suffix.lower()
        if suffix in PROPERTIES:
            report.kind = "properties"
            subjects = [_client(path)]
        elif suffix in YAML:
            return _yaml(path, report)
        else:
            raise UsageError(
                f"{path}: not a kind of file that is known here. Accepted: "
                f"{', '.join((*YAML, *PROPERTIES))}."
            )
        report.subjects = [subject.name for subject in subjects]
        report.findings = [found for subject in subjects for found in lint_subject(subject)]
    except UsageError as error:
        report.error = str(error)
    return report


def _yaml(path: Path, report: FileReport) -> FileReport:
    documents = read_yaml_documents(path)
    for document in documents:
        content = document.content
        if isinstance(content, Mapping) and "profiles" in content:
            report.kind = "profiles"
            for profile in profiles_of(document, load_builtin()).values():
                report.subjects.append(profile.name)
                report.findings += lint(profile, locate=_Place(document, "profiles", profile.name))
        elif isinstance(content, Mapping) and "kind" in content and "apiVersion" in content:
            if content["kind"] == "KafkaTopic":
                report.kind = "topics"
                _add(report, _strimzi_topic(document))
        elif isinstance(content, list) or (isinstance(content, Mapping) and "topics" in content):
            report.kind = "topics"
            for subject in _topics(document):
                _add(report, subject)
        else:
            report.kind = "unknown"
            break
    if report.kind == "unknown":
        raise UsageError(
            f"{path}: `profiles:`, `topics:` or resources of kind KafkaTopic are expected at the "
            "top of a YAML file."
        )
    return report


def _add(report: FileReport, subject: Subject) -> None:
    report.subjects.append(subject.name)
    report.findings += lint_subject(subject)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a setting of one entry stands, as `file:line: entry.part.setting`."""

    document: Located
    root: str
    name: str

    def __call__(self, part: str, setting: str) -> str:
        keys = [key for key in (part, setting) if key]
        place = self.document.where(self.root, self.name, *keys)
        return f"{place}: {'.'.join((self.name, *keys))}"


# ---------------------------------------------------------------------------------------- topics


def _topics(document: Located) -> Iterator[Subject]:
    content = document.content
    root = () if isinstance(content, list) else ("topics",)
    for key in content if isinstance(content, Mapping) else ():
        if key != "topics" and not str(key).startswith("x-"):
            raise UsageError(
                f"{document.where(key)}: {key}: unknown{nearest(str(key), ['topics'])}. "
                "Accepted at the top: topics."
            )
    entries = content if isinstance(content, list) else content["topics"]
    listed: list[tuple[Any, Mapping[str, Any]]]
    if isinstance(entries, Mapping):
        listed = [
            (name, {"name": name, **_fields(document, body, *root, name)})
            for name, body in entries.items()
        ]
    elif isinstance(entries, list):
        listed = [(i, _fields(document, body, *root, i)) for i, body in enumerate(entries)]
    else:
        raise UsageError(f"{document.where(*root)}: topics: a list of topics is expected here.")
    if not listed:
        raise UsageError(f"{document.where(*root)}: no topic in it.")
    for key, body in listed:
        yield _topic(document, body, (*root, key))


def _fields(document: Located, body: Any, *keys: Any) -> Mapping[str, Any]:
    if isinstance(body, Mapping):
        return body
    raise UsageError(
        f"{document.where(*keys)}: a topic with `name:` and its settings is expected here."
    )


def _topic(document: Located, body: Mapping[str, Any], keys: tuple[Any, ...]) -> Subject:
    known = topic_settings()
    name = body.get("name", body.get("topicName", body.get("topic")))
    if not isinstance(name, str) or not name:
        raise UsageError(f"{document.where(*keys)}: a topic without `name:`.")
    settings: dict[str, Setting] = {}
    stands: dict[str, tuple[Any, ...]] = {}

    def take(setting: str, value: Any, where: tuple[Any, ...]) -> None:
        _, wrong = check_topic(setting, value)
        if wrong:
            raise UsageError(f"{document.where(*where)}: {name}.{setting}: {wrong}")
        settings[setting] = value
        stands[setting] = where

    for key, value in body.items():
        if key in _FACTOR:
            take("replication.factor", value, (*keys, key))
        elif key == "config":
            for setting, each in _fields(document, value, *keys, key).items():
                take(str(setting), each, (*keys, key, setting))
        elif key in known:
            take(str(key), value, (*keys, key))
        elif key not in _TOPIC_FIELDS:
            raise UsageError(
                f"{document.where(*keys, key)}: {name}.{key}: unknown"
                f"{nearest(str(key), [*_TOPIC_FIELDS, *known])}. Accepted: name, partitions, "
                "replication.factor, config, critical, and Kafka's topic-level settings."
            )
    critical = body.get("critical", True)
    if not isinstance(critical, bool):
        raise UsageError(f"{document.where(*keys, 'critical')}: {name}.critical: true or false.")

    def locate(_: str, setting: str) -> str:
        return f"{document.where(*stands.get(setting, keys))}: {name}.{setting}"

    return Subject(name=name, topic=settings, critical=critical, locate=locate)


def _strimzi_topic(document: Located) -> Subject:
    content = document.content
    metadata = _fields(document, content.get("metadata"), "metadata")
    spec = _fields(document, content.get("spec"), "spec")
    return _topic(document, {"name": metadata.get("name"), **spec}, ("spec",))


# ------------------------------------------------------------------------------------ properties


def _client(path: Path) -> Subject:
    """What a properties file says of a producer, a consumer and the way to the brokers."""
    known = client_settings()
    parts: dict[str, dict[str, Setting]] = {"producer": {}, "consumer": {}, "connection": {}}
    stands: dict[str, str] = {}
    for setting in translate(path):
        used_by = "connection" if is_connection(setting.name) else known[setting.name].used_by
        for part in ("producer", "consumer") if used_by == "both" else (used_by,):
            parts[part][setting.name] = setting.value
        stands[setting.name] = f"{setting.where}: {setting.key}"
    names = {part: {n for n in stands if known[n].used_by == part} for part in parts}

    def locate(_: str, setting: str) -> str:
        return stands.get(setting, str(path))

    return Subject(
        name=path.name,
        producer=parts["producer"] if names["producer"] else None,
        consumer=parts["consumer"] if names["consumer"] else None,
        connection=parts["connection"],
        dialect="java" if is_java(path) else "librdkafka",
        locate=locate,
    )
