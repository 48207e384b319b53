"""A machine with a real systemd: process 1 in namespaces of its own, over an overlay of this machine's root file system.

It is up in a second and nothing is downloaded. What is written goes to memory and is there after `off` and `up`, which is
a reboot; everything goes with the mount and process namespaces that `pods.main` makes. Only its cgroup would stay behind:
`guard`, called before, removes that even when this program is killed.
"""

import os
import pathlib
import signal
import subprocess
import time

from pods import BIN, Missed, expect, sh, until

# What the machine is given of the programs under test.
PROGRAMS = ("trammeld", "trammel")
# What no test needs, or what a machine without hardware would wait for.
MASKED = ("systemd-firstboot.service", "systemd-udevd.service", "systemd-timesyncd.service", "systemd-logind.service",
          "systemd-resolved.service", "getty.target", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
          "dev-hugepages.mount", "sys-fs-fuse-connections.mount", "e2scrub_reap.service", "timers.target")
ENVIRONMENT = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8")

# Runs as the first process of the new namespaces: $1 the place of the machine's files, $2 its name, and then programs.
# The file systems are those a container has; /proc/sys is read-only but for the network's, which is its own.
BOOT = r"""
place=$1 name=$2; shift 2
root=$place/root; mkdir -p $root $place/upper $place/work
mount -t overlay machine -o lowerdir=/,upperdir=$place/upper,workdir=$place/work $root
units=$root/etc/systemd/system
if [ ! -e $place/installed ]; then
    rm -rf $units/*.wants $units/*.requires $root/etc/rc?.d/* $root/var/log/journal $root/usr/sbin/policy-rc.d
    : >$root/etc/fstab
    echo $name >$root/etc/hostname
    tr -d - </proc/sys/kernel/random/uuid >$root/etc/machine-id
    ln -sfn /lib/systemd/system/multi-user.target $units/default.target
    for unit in $MASKED; do ln -sfn /dev/null $units/$unit; done
    for program; do : >$root/usr/bin/${program##*/}; chmod 755 $root/usr/bin/${program##*/}; done
    : >$place/installed
fi
for program; do mount --bind $program $root/usr/bin/${program##*/}; done
mount -t proc proc $root/proc
mount --bind $root/proc/sys $root/proc/sys
mount --bind $root/proc/sys/net $root/proc/sys/net
# A boot has a number of its own, although the kernel is the same.
cat /proc/sys/kernel/random/uuid >$place/boot-id
mount --bind $place/boot-id $root/proc/sys/kernel/random/boot_id
mount -o remount,bind,ro $root/proc/sys
mount -t sysfs -o ro sysfs $root/sys
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
mount -t tmpfs -o mode=755 devices $root/dev
mkdir $root/dev/pts $root/dev/shm
for device in null zero full random urandom tty; do
    : >$root/dev/$device
    mount --bind /dev/$device $root/dev/$device
done
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 terminals $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
ln -s /proc/self/fd $root/dev/fd
for stream in 0:stdin 1:stdout 2:stderr; do ln -s fd/${stream%:*} $root/dev/${stream#*:}; done
mount -t tmpfs -o mode=1777 shared $root/dev/shm
mount -t tmpfs -o mode=755 run $root/run
mount -t tmpfs -o mode=1777 temporary $root/tmp
ip link set lo up
cd $root
mkdir run/before
pivot_root . run/before
umount -l /run/before
rmdir /run/before
exec setpriv --bounding-set -sys_module,-sys_time,-sys_rawio,-syslog,-sys_boot,-mknod \
    env -i container=trammel-test PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 /lib/systemd/systemd
"""


def hierarchy():
    """Where cgroup v2 is mounted."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2" and fields[3] == "/":
            return pathlib.Path(fields[4])
    raise SystemExit("no cgroup v2 hierarchy is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup")


def remove(cgroup, seconds=10):
    """Ends every process in a cgroup and removes it with all below."""
    deadline = time.monotonic() + seconds
    while cgroup.exists() and time.monotonic() < deadline:
        try:
            (cgroup / "cgroup.kill").write_text("1")
            for folder, _, _ in os.walk(cgroup, topdown=False):
                os.rmdir(folder)
        except OSError:
            time.sleep(0.02)  # what was killed is not gone yet


def guard():
    """Leaves a process behind that removes the machine's cgroup when this one has ended, however it did."""
    cgroup = hierarchy() / f"trammel-test-{os.getpid()}"
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.close(writer)
        nothing = os.open("/dev/null", os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        os.read(reader, 1)  # the end of the file, when the last writer is gone
        remove(cgroup)
        os._exit(0)
    os.close(reader)
    guard.writer = writer


class Machine:
    """`name` is also that of its cgroup, as `pods.main` has it; `programs` are there as if they had been installed."""

    def __init__(self, name, programs=PROGRAMS):
        self.name, self.programs = name, programs
        self.cgroup = hierarchy() / name
        self.place = pathlib.Path("/run") / name
        sh(f"mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p {self.place}")
        self.supervisor = self.pid = None

    # MARK: life

    def up(self):
        """Boots it; everything that is to be started is when this returns."""
        self.cgroup.mkdir(exist_ok=True)
        log = open(self.place / "log", "w")
        script = f'MASKED="{" ".join(MASKED)}"; set -eu\n{BOOT}'
        # The cgroup is entered first: the one that a process is in becomes the root of its new cgroup namespace.
        self.supervisor = subprocess.Popen(
            ["unshare", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--pid", "--fork", "--kill-child",
             "--propagation", "private", "sh", "-c", script, "boot", str(self.place), self.name,
             *(str(BIN / program) for program in self.programs)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=lambda: (self.cgroup / "cgroup.procs").write_text(str(os.getpid())))
        def first():
            expect(self.supervisor.poll() is None, "the machine did not boot", (self.place / "log").read_text())
            children = pathlib.Path(f"/proc/{self.supervisor.pid}/task/{self.supervisor.pid}/children").read_text()
            if not children:
                return None
            pid = int(children.split()[0])
            try:
                there = pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd"
                return pid if there and os.path.exists(f"/proc/{pid}/root/run/dbus/system_bus_socket") else None
            except FileNotFoundError:
                return None
        self.pid = until(first, 30, "the start of systemd")
        # Out of the machine's own cgroup, in which systemd may have no process but those of its units.
        (hierarchy() / "cgroup.procs").write_text(str(self.supervisor.pid))
        self.x("systemctl", "is-system-running", "--wait", status=None, timeout=60)
        return self

    def off(self):
        """Shuts it down in order; the disk stays."""
        if self.supervisor is None:
            return
        if self.supervisor.poll() is None:
            os.kill(self.pid, signal.SIGRTMIN + 4)  # systemd(1): start poweroff.target
            try:
                self.supervisor.wait(30)
            except subprocess.TimeoutExpired:
                self.supervisor.kill()
                self.supervisor.wait()
        self.supervisor = None
        remove(self.cgroup)

    # MARK: commands

    def inside(self, *words):
        """The command line that runs a command in the machine, in a cgroup beside those of its systemd."""
        script = "mkdir -p /sys/fs/cgroup/operator; echo 0 >/sys/fs/cgroup/operator/cgroup.procs; cd /; exec \"$@\""
        return ["nsenter", "--target", str(self.pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                *ENVIRONMENT, "sh", "-c", script, "x", *(str(word) for word in words)]

    def x(self, *words, input=None, timeout=20, status=0):
        """What a command prints in the machine, the errors too; it must end with `status`, unless that is None."""
        try:
            done = subprocess.run(self.inside(*words), text=True, input=input, timeout=timeout,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired as late:
            raise Missed(f"{words} did not end within {timeout} s", late.stdout) from None
        expect(status is None or done.returncode == status, f"{words}: exit {done.returncode}", done.stdout[-1500:])
        return done.stdout

    def sh(self, script, **options):
        return self.x("sh", "-euc", script, **options)

    def write(self, path, text, mode=0o644):
        """A file of the machine's."""
        file = pathlib.Path(f"/proc/{self.pid}/root{path}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def read(self, path):
        return pathlib.Path(f"/proc/{self.pid}/root{path}").read_text()

    def unit(self, name, text, reload=True):
        """A unit, or a drop-in of one: `web.service.d/mesh.conf`."""
        self.write(f"/etc/systemd/system/{name}", text)
        if reload:
            self.x("systemctl", "daemon-reload")

    def systemctl(self, *words, **options):
        return self.x("systemctl", *words, **options)

    def journal(self, unit, lines=30):
        return self.x("journalctl", "--no-pager", "-q", "-n", str(lines), "-u", unit, "-o", "cat", status=None)
