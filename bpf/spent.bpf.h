/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * spent.bpf.h - what threads have used, out of the kernel's own accounts.
 *
 * A process's use is that of its living threads, plus what signal_struct gathered from those
 * that have ended (__exit_signal()). Plain loads: the task comes from a BTF argument.
 */
#pragma once

#include "vmlinux.h"

#include "obs/wire.h"

static __always_inline void obs_add_io(struct obs_spent *to, const struct task_io_accounting *io)
{
	to->read_bytes += io->read_bytes;
	if (io->write_bytes > io->cancelled_write_bytes)
		to->write_bytes += io->write_bytes - io->cancelled_write_bytes;
}

static __always_inline void obs_add_thread(struct obs_spent *to, struct task_struct *task)
{
	to->run_ns += task->se.sum_exec_runtime;
	to->user_ns += task->utime;
	to->system_ns += task->stime;
	to->min_faults += task->min_flt;
	to->maj_faults += task->maj_flt;
	obs_add_io(to, &task->ioac);
}

static __always_inline void obs_add_ended(struct obs_spent *to, struct signal_struct *signal)
{
	to->run_ns += signal->sum_sched_runtime;
	to->user_ns += signal->utime;
	to->system_ns += signal->stime;
	to->min_faults += signal->min_flt;
	to->maj_faults += signal->maj_flt;
	obs_add_io(to, &signal->ioac);
}
