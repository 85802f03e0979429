"""`harness validate`: which file is what, and the findings about everything in it.

*.yaml with `profiles:`       delivery profiles, as --profiles takes them
*.yaml with `topics:`         topics: name, partitions, replication.factor, config
*.yaml with `kind: …`         Strimzi's Kafka, KafkaNodePool, KafkaTopic and KafkaUser; other
                              resources of Kubernetes are passed by
*.properties                  settings of a Java client (or librdkafka's names)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.errors import UsageError
from harness.profiles import rules_strimzi  # noqa: F401  (it enters its rules)
from harness.profiles.documents import Located, read_yaml_documents
from harness.profiles.java import translate
from harness.profiles.lint import lint, lint_subject
from harness.profiles.load import load_builtin, profiles_of
from harness.profiles.model import Setting
from harness.profiles.refusal import Refusal, placeholder, unfilled
from harness.profiles.rule import Finding, PartlyKnown, Subject
from harness.profiles.rules_producer import PARTITIONER_CLASS
from harness.profiles.settings import (
    check_topic,
    client_settings,
    is_connection,
    topic_settings,
)
from harness.profiles.strimzi import Resource, Resources, is_strimzi, resource_findings
from harness.system.suggest import nearest

PROPERTIES: Final = (".properties", ".conf", ".config")
YAML: Final = (".yaml", ".yml", ".json")
KUBERNETES: Final = "Kubernetes"
_FACTOR: Final = ("replication.factor", "replication_factor", "replicationFactor", "replicas")
_TOPIC_FIELDS: Final = ("name", "topic", "topicName", "partitions", "config", "critical", *_FACTOR)


@dataclass(slots=True)
class FileReport:
    """What was found in one file."""

    file: str
    kind: str = "unknown"
    """profiles, topics, properties or Kubernetes"""
    subjects: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    resources: list[Resource] = field(default_factory=list)
    """Strimzi's, in the order of the file."""
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

    def add(self, subject: Subject) -> None:
        self.subjects.append(subject.name)
        self.findings += lint_subject(subject)

    def refuse(self, refusals: Iterable[Refusal]) -> None:
        """Enter what cannot be taken as findings, in the order of the file's lines."""
        self.findings += [
            Finding(each.kind, each.severity, each.where, each.message, each.fix)
            for each in sorted(refusals, key=lambda refusal: _line(refusal.where))
        ]


def validate(path: Path) -> FileReport:
    """Look at one file: everything that cannot be taken, and what the rules say of the rest.

    Why a file cannot be read at all is in `error`.
    """
    return validate_all([path])[0]


def validate_all(paths: Sequence[Path]) -> list[FileReport]:
    """Look at files. Those of one folder belong together: node pools in one say how many brokers
    there are for the Kafka resource in another."""
    reports = [_read(path) for path in paths]
    for path, report in zip(paths, reports, strict=True):
        beside = Resources(
            [
                resource
                for other, each in zip(paths, reports, strict=True)
                if other.parent == path.parent
                for resource in each.resources
            ]
        )
        for resource in report.resources:
            report.findings += resource_findings(resource, beside)
        report.findings.sort(key=lambda finding: finding.severity != "error")
    return reports


def _read(path: Path) -> FileReport:
    report = FileReport(str(path))
    try:
        suffix = path.suffix.lower()
        if suffix in PROPERTIES:
            report.kind = "properties"
            _client(path, report)
        elif suffix in YAML:
            _yaml(path, report)
        else:
            raise UsageError(
                f"{path}: not a kind of file that is known here. Accepted: "
                f"{', '.join((*YAML, *PROPERTIES))}."
            )
    except UsageError as error:
        report.error = str(error)
    return report


def _line(where: str) -> int:
    """The line of an origin `file:line: …`; 0 where there is none."""
    found = re.search(r":(\d+): ", where)
    return int(found[1]) if found else 0


def _yaml(path: Path, report: FileReport) -> None:
    documents = read_yaml_documents(path)
    for document in documents:
        content = document.content
        if isinstance(content, Mapping) and "profiles" in content:
            report.kind = "profiles"
            loaded = profiles_of(document, load_builtin())
            report.refuse(loaded.refusals)
            for name, profile in loaded.profiles.items():
                report.subjects.append(name)
                report.findings += lint(
                    profile,
                    locate=_Place(document, "profiles", name),
                    unknown=loaded.unknown.get(name),
                )
        elif isinstance(content, Mapping) and "kind" in content and "apiVersion" in content:
            report.kind = KUBERNETES
            if content["kind"] == "KafkaTopic":
                _Topics(document, report).strimzi()
            elif is_strimzi(content):
                report.subjects.append(f"{content['kind']} {Resource(document).name}")
                report.refuse(document.refusals)
            if is_strimzi(content):
                report.resources.append(Resource(document))
        elif _is_json_patch(content):
            report.kind = KUBERNETES
        elif isinstance(content, list) or (isinstance(content, Mapping) and "topics" in content):
            report.kind = "topics"
            _Topics(document, report).listed()
        else:
            report.kind = "unknown"
            break
    if report.kind == "unknown":
        raise UsageError(
            f"{path}: `profiles:`, `topics:` or resources of Kubernetes, with apiVersion and kind, "
            "are expected at the top of a YAML file."
        )


def _is_json_patch(content: Any) -> bool:
    """Whether a document is a patch of Kustomize by operations (RFC 6902)."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(each, Mapping) and {"op", "path"} <= set(each) for each in content)
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """The origin of a setting of one entry, as `file:line: entry.part.setting`."""

    document: Located
    root: str
    name: str

    def __call__(self, part: str, setting: str) -> str:
        keys = [key for key in (part, setting) if key]
        origin = self.document.where(self.root, self.name, *keys)
        return f"{origin}: {'.'.join((self.name, *keys))}"


# ---------------------------------------------------------------------------------------- topics


class _Topics:
    """Looks at the topics of one document; what cannot be taken goes to the report."""

    def __init__(self, document: Located, report: FileReport) -> None:
        self.document, self.report = document, report
        self.refusals = list(document.refusals)

    def _refuse(self, what: str, fix: str, name: str, *keys: Any, kind: str = "malformed") -> None:
        origin = self.document.where(*keys)
        self.refusals.append(Refusal(kind, f"{origin}: {name}" if name else origin, what, fix))

    def strimzi(self) -> None:
        content = self.document.content
        metadata, spec = content.get("metadata"), content.get("spec")
        if not isinstance(metadata, Mapping):
            self._refuse("`metadata:` with the topic's `name:` is expected here.", "", "metadata",
                         "metadata")  # fmt: skip
        elif not isinstance(spec, Mapping):
            self._refuse("`spec:` with the topic's settings is expected here.", "", "spec", "spec")
        else:
            self._topic({"name": metadata.get("name"), **spec}, ("spec",))
        self.report.refuse(self.refusals)

    def listed(self) -> None:
        content = self.document.content
        root = () if isinstance(content, list) else ("topics",)
        for key in content if isinstance(content, Mapping) else ():
            if key != "topics" and not str(key).startswith("x-"):
                self._refuse(f"unknown{nearest(str(key), ['topics'])}.",
                             "Accepted at the top: topics.", str(key), key)  # fmt: skip
        entries = content if isinstance(content, list) else content["topics"]
        if isinstance(entries, Mapping):
            bodies = list(entries.items())
        elif isinstance(entries, list):
            bodies = list(enumerate(entries))
        else:
            raise UsageError(
                f"{self.document.where(*root)}: topics: a list of topics is expected here."
            )
        if not bodies:
            raise UsageError(f"{self.document.where(*root)}: no topic in it.")
        for key, body in bodies:
            if not isinstance(body, Mapping):
                self._refuse("a topic with `name:` and its settings is expected here.", "",
                             "", *root, key)  # fmt: skip
            elif isinstance(entries, Mapping):
                self._topic({"name": str(key), **body}, (*root, key))
            else:
                self._topic(body, (*root, key))
        self.report.refuse(self.refusals)

    def _topic(self, body: Mapping[str, Any], keys: tuple[Any, ...]) -> None:
        name = body.get("name", body.get("topicName", body.get("topic")))
        if not isinstance(name, str) or not name:
            self._refuse("a topic without `name:`.", "State its name.", "", *keys)
            name = "(a topic without a name)"
        settings: dict[str, Setting] = {}
        origins: dict[str, tuple[Any, ...]] = {}
        unknown: set[str] = set()

        def take(setting: str, value: Any, *where: Any) -> None:
            _, wrong = check_topic(setting, value)
            origins[setting] = where
            origin = f"{self.document.where(*where)}: {name}.{setting}"
            still_open = placeholder(setting, value)
            if wrong is not None and not (still_open and wrong.kind == "refused-value"):
                message, accepted, rest = wrong.text.partition(" Accepted")
                fix = (accepted + rest).strip()
                self.refusals.append(Refusal(wrong.kind, origin, message, fix))
            elif still_open:
                self.refusals.append(unfilled(origin, setting, str(value)))
            else:
                settings[setting] = value
                return
            unknown.add(setting)

        known = topic_settings()
        for key, value in body.items():
            if key in _FACTOR:
                take("replication.factor", value, *keys, key)
            elif key == "config":
                if not isinstance(value, Mapping):
                    self._refuse("`name: value` settings are expected here.", "", f"{name}.config",
                                 *keys, key)  # fmt: skip
                    continue
                for setting, each in value.items():
                    take(str(setting), each, *keys, key, setting)
            elif key in known:
                take(str(key), value, *keys, key)
            elif key not in _TOPIC_FIELDS:
                self._refuse(
                    f"unknown{nearest(str(key), [*_TOPIC_FIELDS, *known])}.",
                    "Accepted: name, partitions, replication.factor, config, critical, and Kafka's "
                    "topic-level settings.",
                    f"{name}.{key}", *keys, key, kind="unknown-setting",
                )  # fmt: skip
        critical = body.get("critical", True)
        if not isinstance(critical, bool):
            self._refuse(f"{critical!r}: true or false is expected here.", "", f"{name}.critical",
                         *keys, "critical", kind="refused-value")  # fmt: skip
            critical = True

        def locate(_: str, setting: str) -> str:
            return f"{self.document.where(*origins.get(setting, keys))}: {name}.{setting}"

        self.report.add(
            Subject(
                name=name,
                topic=PartlyKnown(settings, unknown),
                critical=critical,
                locate=locate,
            )
        )


# ------------------------------------------------------------------------------------ properties


def _client(path: Path, report: FileReport) -> None:
    """What a properties file says of a producer, a consumer and the way to the brokers."""
    known = client_settings()
    done = translate(path)
    parts: dict[str, dict[str, Setting]] = {"producer": {}, "consumer": {}, "connection": {}}
    origins = dict(done.unknown)
    for setting in done.settings:
        for part in _parts(setting.name):
            parts[part][setting.name] = setting.value
        origins[setting.name] = f"{setting.where}: {setting.key}"
    names = {part: {n for n in origins if known[n].used_by == part} for part in parts}
    for item in done.passed_by:
        if item.key == PARTITIONER_CLASS:
            parts["producer"][item.key] = item.value
            origins[item.key] = f"{item.where}: {item.key}"
            names["producer"].add(item.key)
    unknown = {part: {n for n in done.unknown if part in _parts(n)} for part in parts}

    def locate(_: str, setting: str) -> str:
        return origins.get(setting, f"{path}: {setting}" if setting else str(path))

    def settings(part: str) -> PartlyKnown:
        return PartlyKnown(parts[part], unknown[part])

    report.refuse(done.refusals)
    report.add(
        Subject(
            name=path.name,
            producer=settings("producer") if names["producer"] else None,
            consumer=settings("consumer") if names["consumer"] else None,
            connection=settings("connection"),
            dialect="java" if done.java else "librdkafka",
            locate=locate,
        )
    )


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a client that use a setting."""
    if is_connection(name):
        return ("connection",)
    used_by = client_settings()[name].used_by
    return ("producer", "consumer") if used_by == "both" else (used_by,)
