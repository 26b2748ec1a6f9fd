/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.h - give back what only the start needed.
 */
#pragma once

#include <stddef.h>

/**
 * obs_memory_trim() - unmap the pages of programs and libraries that are clean, and free heap.
 *
 * Loading BPF programs walks through megabytes of code and tables (libbpf, TLS, our own
 * skeletons) that are not looked at again. Pages that no one has written are let go; one that
 * is needed after all comes back from the page cache at its next touch, as at the first one.
 *
 * Any thread. Return: bytes let go of, or a negative errno of reading /proc/self/smaps.
 */
long obs_memory_trim(void);
