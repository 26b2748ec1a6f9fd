#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# filesystems.sh - make what a node's log may stand on, then run a command there.
#
# Usage: filesystems.sh COMMAND… : runs COMMAND… /tmp /ext4 /overlay /overlay2
# Needs the modules ext4, overlay and loop, and mke2fs.
set -e

# The loop device's backing file must not be on the file system under test.
mkdir -p /ext4 /overlay /image
mount -t tmpfs tmpfs /image
dd if=/dev/zero of=/image/ext4 bs=1M count=0 seek=64 2>/dev/null
/usr/sbin/mke2fs -q -t ext4 /image/ext4
mount -t ext4 -o loop /image/ext4 /ext4
mkdir /ext4/lower /ext4/upper /ext4/work
mount -t overlay -o lowerdir=/ext4/lower,upperdir=/ext4/upper,workdir=/ext4/work overlay /overlay
# A lower layer on another file system, as with an image on a second disk.
mkdir -p /tmp/lower /ext4/upper2 /ext4/work2 /overlay2
mount -t overlay -o lowerdir=/tmp/lower,upperdir=/ext4/upper2,workdir=/ext4/work2 overlay2 /overlay2

exec "$@" /tmp /ext4 /overlay /overlay2
