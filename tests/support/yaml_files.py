"""Can YAML files be read, and is no key in them twice? `python -m tests.support.yaml_files FILE …`

Ends with 1 and one line for each file that cannot.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import yaml

MERGE: Final = "tag:yaml.org,2002:merge"


class UniqueKeys(yaml.SafeLoader):
    """Refuses a mapping in which a key is there twice, of which YAML itself keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key, _ in node.value:
            if key.tag == MERGE:
                continue
            name = self.construct_object(key, deep=deep)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} is there twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


def fault_of(path: Path) -> str:
    """What is wrong with a file, in one line; empty when nothing is."""
    try:
        for _ in yaml.load_all(path.read_text(encoding="utf-8"), UniqueKeys):
            pass
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return f"{path}: {' '.join(str(error).split())}"
    return ""


if __name__ == "__main__":
    wrong = [each for each in map(fault_of, map(Path, sys.argv[1:])) if each]
    sys.stderr.writelines(f"{each}\n" for each in wrong)
    sys.exit(bool(wrong))
