"""The machine, the versions and the commit: the context of a result file."""

import os
import platform
import re
import subprocess
from datetime import datetime
from pathlib import Path


def cpu_name():
    """The model name of the processor."""
    try:
        with open("/proc/cpuinfo") as f:
            names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def caches():
    """Sizes of the data caches of the first processor, as the system reports them."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


INSTRUCTIONS = (  # by which formats differ in speed, as /proc/cpuinfo names them
    "avx2 avx512f avx_vnni avx512_vnni avx512_bf16 avx512_fp16 amx_int8 amx_bf16 asimd asimddp bf16 i8mm"
)


def instructions(path="/proc/cpuinfo"):
    """The INSTRUCTIONS that the processor supports; none where the system does not list them."""
    try:
        with open(path) as f:
            flags = {flag for line in f if line.startswith(("flags", "Features")) for flag in line.split()}
    except OSError:
        return []
    return [name for name in INSTRUCTIONS.split() if name in flags]


def commit():
    """The commit of this checkout, with -dirty if files differ from it; unknown without git."""
    try:
        run = subprocess.run(
            ["git", "--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return run.stdout.strip() or "unknown"


def facts(num_threads, versions):
    """The facts about the host that go into the result file."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": cpu_name(),
        "isa": versions.get("isa"),
        "instructions": instructions(),
        "onednn_max_cpu_isa": os.environ.get("ONEDNN_MAX_CPU_ISA"),
        "processors": processors,
        "caches": caches(),
        "num_threads": num_threads,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "date": datetime.now().strftime("%Y-%m-%d %H:%M"),
        "commit": commit(),
        "versions": versions,
    }


def file_stem(host):
    """<cpu>-<date>, safe as a file name."""
    cpu = re.sub(r"\(r\)|\(tm\)|cpu|processor|@.*", " ", host["cpu"].lower())
    return f"{re.sub(r'[^a-z0-9]+', '-', cpu).strip('-')}-{host['date'][:10]}"
