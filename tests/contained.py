"""A container as far as it matters to the gateway: a read-only root, a user by number, no capability.

Knows mounts and system calls, no container runtime: whoever may mount (root, in a namespace of its own) can run it. The
network is the host's.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

UID = 10001

# what a runtime does before it starts a process: mount points are made, then nothing of the root can be written
_ENTER = f"""
set -eu
root=$1 config=$2; shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mkdir -p "$root/etc/spillway"
mount --bind "$config" "$root/etc/spillway"
mount -o remount,bind,ro "$root/etc/spillway"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=0750,uid={UID},gid={UID} tmpfs "$root/var/lib/spillway"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for device in null zero urandom; do touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t proc proc "$root/proc"
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --reuid {UID} --regid {UID} --clear-groups --no-new-privs \\
    --bounding-set=-all --inh-caps=-all env -i --chdir /var/lib/spillway "$@"
"""


def contained(root: Path, config: Path, env: Sequence[str], command: Sequence[str]) -> subprocess.Popen[str]:
    """The command in an image's root: `config` at /etc/spillway, /tmp and /var/lib/spillway in memory."""
    words = ["unshare", "--mount", "sh", "-c", _ENTER, "enter", str(root), str(config), *env, *command]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def said_by(root: Path, config: Path, env: Sequence[str], *command: str) -> tuple[int, str]:
    """How the command ended, and what it said."""
    with contained(root, config, env, command) as process:
        said, _ = process.communicate(timeout=120)
    return process.returncode, said
