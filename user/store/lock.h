/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock.h - one observer per state directory.
 *
 * An open-file-description lock on DIR/lock: it goes with the process however
 * that dies, and the file's text names the holder.
 */
#pragma once

/**
 * obs_lock_make_dir() - create @dir, mode 0700, and the directories above it where missing.
 *
 * Return: 0 or a negative errno.
 */
int obs_lock_make_dir(const char *dir);

/**
 * obs_lock_open() - take the lock of state directory @dir.
 * @ret_pid: on -EBUSY, the holder's pid, 0 if unknown; may be NULL
 * @ret:     on success, a descriptor the caller closes to let go
 *
 * A holder that was killed, and whose last child has its descriptor still, is waited for: 2 s at
 * most.
 *
 * Return: 0, -EBUSY, or a negative errno.
 */
int obs_lock_open(const char *dir, int *ret_pid, int *ret);
