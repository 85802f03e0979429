"""`harness k8s`: an overlay of k8s/ and its runs, by kubectl.

render   what would be applied            logs     what a run prints
apply    apply an overlay, await it       fetch    its run directory, from the volume to here
run      a run as a Job, to its verdict   delete   a run, or all that an overlay applied

Each says on stderr which kubectl commands it runs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from harness.cli.arguments import Parser
from harness.cli.run_arguments import add_run_arguments
from harness.errors import EXIT_INTERRUPTED_TWICE, EXIT_KEPT, ClusterError, UsageError, redact_argv
from harness.kubernetes import installation, results, run_job, watching
from harness.kubernetes.kubectl import NAMESPACE, Kubectl, KubeTarget
from harness.kubernetes.overlay import overlay_folder, rendered
from harness.system.output import complain

READY_S: Final = 900.0
GONE_S: Final = 300.0
WORKERS_S: Final = 120
_VERDICTS: Final = {
    0: "every promise kept",
    1: "a promise broken",
    2: "wrong usage or configuration",
    3: "inconclusive",
    4: "the harness or its environment failed",
}
_OF_THE_TEMPLATE: Final = ("--out", "--master-bind-host", "--master-bind-port", "--keep-cluster")


def add_k8s_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `harness k8s`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    render = actions.add_parser("render", help="print an overlay as YAML; no cluster is asked")
    apply = actions.add_parser("apply", help="apply an overlay, and await that it is ready")
    run = actions.add_parser(
        "run", help="make a run in the cluster; ends with the exit code of its verdict"
    )
    logs = actions.add_parser("logs", help="what a run prints")
    fetch = actions.add_parser("fetch", help="copy a run directory from the volume to here")
    delete = actions.add_parser("delete", help="take away a run, or all that an overlay applied")
    for each in (render, apply):
        _add_overlay(each, required=True)
    apply.add_argument("--no-wait", action="store_true", help="do not await that it is ready")
    run.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="scale Locust's workers to N first (default: as many as there are)",
    )
    run.add_argument("--no-wait", action="store_true", help="end once the run has begun")
    run.add_argument(
        "options",
        nargs="*",
        metavar="-- OPTION",
        help="options of `harness run`, behind `--`; files are files of the pod",
    )
    for each in (logs, fetch, delete):
        each.add_argument(
            "run",
            nargs="?",
            metavar="RUN",
            help="name of a run"
            + ("; without it all of --overlay" if each is delete else " (default: the newest)"),
        )
    logs.add_argument("--follow", action="store_true", help="until it ends, with its exit code")
    fetch.add_argument(
        "--out", metavar="DIR", help="where to (default reports/runs/RUN); not one that is in use"
    )
    _add_overlay(delete, required=False)
    delete.add_argument(
        "--all-data",
        action="store_true",
        help="also the namespace, results and Kafka's volumes, and whatever else is in it",
    )
    for each in (render, apply, run, logs, fetch, delete):
        _add_target(each)


def _add_overlay(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--overlay",
        required=required,
        metavar="NAME|FOLDER",
        help="laptop, ci, preproduction, or a folder with a kustomization of your own",
    )


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--namespace", default=NAMESPACE, metavar="N", help=f"the namespace (default {NAMESPACE})"
    )
    parser.add_argument("--context", metavar="NAME", help="as of kubectl")
    parser.add_argument("--kubeconfig", metavar="FILE", help="as of kubectl")


def run_k8s(args: argparse.Namespace) -> int:
    """Carry out `harness k8s`; the exit status. Raises HarnessError."""
    kubeconfig = None if args.kubeconfig is None else Path(args.kubeconfig)
    target = KubeTarget(args.context, kubeconfig, args.namespace)
    if args.action == "run":
        check_options(args.options)
    kubectl = Kubectl(target, complain)
    if args.action == "render":
        sys.stdout.write(rendered(kubectl, overlay_folder(args.overlay)))
        return EXIT_KEPT
    if args.action == "apply":
        wait_s = None if args.no_wait else READY_S
        installation.apply(kubectl, overlay_folder(args.overlay), wait_s=wait_s)
        return EXIT_KEPT
    if args.action == "run":
        return _run(kubectl, args)
    if args.action == "logs":
        return _logs(kubectl, args.run or run_job.newest(kubectl), follow=args.follow)
    if args.action == "fetch":
        run = args.run or run_job.newest(kubectl)
        out = Path(args.out) if args.out else Path("reports") / "runs" / run
        print(results.fetch(kubectl, run, out))
        return EXIT_KEPT
    return _delete(kubectl, args)


def check_options(options: list[str]) -> None:
    """Refuse options of a run that cannot be, before anything is created. Raises UsageError."""
    if options[:2] == ["harness", "run"]:
        raise UsageError("k8s run: behind -- only options are expected, without `harness run`.")
    for option in options:
        name = option.partition("=")[0]
        if name in _OF_THE_TEMPLATE:
            raise UsageError(f"k8s run: {name} is the Job's own and cannot be given.")
    if redact_argv(options) != options:
        raise UsageError(
            "k8s run: a secret in an option would be readable in the Job's resource. Put it into a "
            "Secret that the pod has, and name it: KEY=env:NAME or KEY=file:PATH."
        )
    parser = Parser(prog="harness k8s run --")
    add_run_arguments(parser)
    parser.parse_args(options)


def _run(kubectl: Kubectl, args: argparse.Namespace) -> int:
    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers {args.workers}: 1 or more is expected.")
    made_from = run_job.template(kubectl)
    options = list(args.options)
    if not any(each.partition("=")[0] == run_job.EXPECT for each in options):
        found = run_job.workers(kubectl, args.workers, timeout_s=WORKERS_S)
        options += [run_job.EXPECT, str(found)]
    name = run_job.new_name()
    run_job.create(kubectl, run_job.job_of(made_from, name, options))
    if args.no_wait:
        watching.await_start(kubectl, name)
        print(name)
        return EXIT_KEPT
    return _followed(kubectl, name)


def _followed(kubectl: Kubectl, run: str) -> int:
    sys.stdout.flush()
    try:
        code = watching.follow(kubectl, run, sys.stdout.buffer)
    except KeyboardInterrupt:
        complain(
            f"run {run} goes on. Follow it: harness k8s logs --follow {run}; end it: harness k8s "
            f"delete {run}"
        )
        return EXIT_INTERRUPTED_TWICE
    complain(f"run {run}: {_VERDICTS[code]} (exit code {code}); harness k8s fetch {run}")
    return code


def _logs(kubectl: Kubectl, run: str, *, follow: bool) -> int:
    if kubectl.find("job", run) is None:
        raise UsageError(
            f"run {run}: namespace {kubectl.target.namespace} has no Job of that name. What it "
            f"left on the volume: harness k8s fetch {run}."
        )
    if follow:
        return _followed(kubectl, run)
    pod = run_job.pod_of(kubectl, run)
    if pod is None:
        raise ClusterError(f"run {run}: its Job has no pod (any more), so there is no output.")
    kubectl.show("logs", pod.name)
    sys.stdout.flush()
    if watching.copy(kubectl, sys.stdout.buffer, pod.name) != 0:
        raise ClusterError(f"run {run}: kubectl logs failed; pod {pod.name}: {pod.why}.")
    return EXIT_KEPT


def _delete(kubectl: Kubectl, args: argparse.Namespace) -> int:
    if (args.run is None) == (args.overlay is None):
        raise UsageError(
            "k8s delete: name a run, or --overlay NAME for all that was applied. Either, not both."
        )
    if args.run is not None:
        if args.all_data:
            raise UsageError("--all-data: goes with --overlay, not with a run.")
        results.delete_run(kubectl, args.run, wait_s=GONE_S)
    else:
        folder = overlay_folder(args.overlay)
        installation.delete(kubectl, folder, data=args.all_data, wait_s=GONE_S)
    return EXIT_KEPT
