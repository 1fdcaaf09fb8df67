#!/bin/bash
# The first process of a Raspberry Pi, started by pi.py in namespaces of its own, with which all of it ends.
# ROOT is its Debian. BOARD is the folder of this start: texts/ is what the kernel says, etc/ goes over the Debian's.
# ENGINES, unless empty, is a folder of Python packages. Every line on standard input starts sshd.
set -euo pipefail
root=$1 board=$2 home_bytes=$3 qemu=$4 cpu=$5 engines=$6

hostname raspberrypi
cd "$board"
mkdir -p binfmt lower own new

# With the last mount the kernel forgets what was registered; before Linux 6.7 it keeps it.
mount -t binfmt_misc binfmt_misc binfmt
mount --bind "$root" lower
if ! chroot lower /usr/bin/true 2>/dev/null; then
  magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
  mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  # F opens the emulator now, so that the Debian need not have it; P keeps the name that a program is started by.
  # Another Pi may be first.
  printf '%s' ":qemu-aarch64:M::$magic:$mask:$qemu:PF" >binfmt/register 2>/dev/null || true
  chroot lower /usr/bin/true 2>/dev/null || {
    echo "the kernel does not run ARM programs by $qemu, see binfmt_misc" >&2
    exit 1
  }
fi

# What is changed is gone after the end.
mount -t tmpfs -o size=1g,mode=755 tmpfs own
mkdir own/upper own/work
mount -t overlay -o lowerdir=lower,upperdir=own/upper,workdir=own/work overlay new
cd new
cp -r ../etc/. etc/
cp -r ../texts/sys/. sys/
cp ../texts/proc/cpuinfo ../own/cpuinfo
mount -t proc proc proc
mount --move ../binfmt proc/sys/fs/binfmt_misc
mount --bind ../own/cpuinfo proc/cpuinfo
mount -t tmpfs -o "size=$home_bytes,mode=755,uid=1000,gid=1000" tmpfs home/pi
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do
  touch "dev/$node"
  mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0:stdin 1:stdout 2:stderr; do
  ln -s "/proc/self/fd/${number%:*}" "dev/${number#*:}"
done
if [ -n "$engines" ]; then
  mount --bind "$engines" opt/edge
  mount -o remount,bind,ro opt/edge
  echo /opt/edge >usr/lib/python3/dist-packages/edge.pth
fi

# The host's process number, as the host's /proc is still here.
read -r process _ </proc/self/stat
mkdir -p mnt
pivot_root . mnt
cd /
exec /usr/bin/env -i PATH=/usr/sbin:/usr/bin QEMU_CPU="$cpu" /usr/bin/bash -c '
  umount -l /mnt
  echo "$0"
  while read -r _; do /usr/sbin/sshd -D -e & done
' "$process"
