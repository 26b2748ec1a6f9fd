/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shm.h - SQLite's shared memory, on a disk that turned read-only.
 *
 * The index of the WAL is a file that is mapped and written to. Where the file system cannot make a
 * page writable (it is read-only now, because of errors or because somebody said so), the kernel
 * sends SIGBUS, which would end the process. Such a page becomes memory of our own, until
 * it can be written back: before that nothing may be committed. As systemd's journal does it.
 */
#pragma once

/** obs_shm_guard() - from now on, for the whole process. */
void obs_shm_guard(void);

/**
 * obs_shm_restore() - write such pages back, and map the file again. While nobody is inside SQLite.
 *
 * Return: 0, also when there are none; or a negative errno: the file still cannot be written.
 */
int obs_shm_restore(void);

/** obs_shm_forget() - the database is being closed: its mappings go. */
void obs_shm_forget(void);
